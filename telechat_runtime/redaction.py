# SPDX-License-Identifier: Apache-2.0
"""Masks the secrets of an environment, and renders commands for reading."""

from __future__ import annotations

import re
import shlex
from typing import Dict, Mapping, Optional, Sequence

_SECRET_NAME = re.compile(
    r"(?i)(^|_)(token|secret|passw(or)?d|passphrase|credentials?|(access|api|secret|private)_?key|ak|sk)(_|$)"
)


MASK = "********"


def shell_text(argv: Sequence[str]) -> str:
    """Quote an argv list for a POSIX shell: sshd hands a command to the login shell as one text."""
    return shlex.join(argv)


def is_secret(name: str) -> bool:
    """Tell whether the value of an environment variable of that name must not be shown."""
    return _SECRET_NAME.search(name) is not None


def masked(env: Mapping[str, Optional[str]]) -> Dict[str, Optional[str]]:
    """Return the environment with the values of secrets replaced, for showing."""
    return {name: MASK if value and is_secret(name) else value for name, value in env.items()}


def command_text(argv: Sequence[str], env: Mapping[str, Optional[str]], path: Sequence[str] = ()) -> str:
    """Render a command with its environment as a line to read or paste; secrets are masked.

    A variable that is None is unset (`env -u`); the folders of `path` go before $PATH.
    """
    shown = masked(env)
    words = [f"-u {name}" for name, value in shown.items() if value is None]
    words += [f"{name}={shlex.quote(value)}" for name, value in shown.items() if value is not None]
    if path:
        words.append(f'PATH={shlex.quote(":".join(path))}:"$PATH"')
    return " ".join([*(["env", *words] if words else []), shell_text(argv)])
