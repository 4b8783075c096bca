# SPDX-License-Identifier: Apache-2.0
"""Commands are argv lists all the way; this module turns one into text, once, for SSH and for people."""

from __future__ import annotations

import re
import shlex
import sys
from typing import Dict, List, Mapping, Optional, Sequence

from telechat_runtime.topology import Node

_SECRET_NAME = re.compile(
    r"(?i)(^|_)(token|secret|passw(or)?d|passphrase|credentials?|(access|api|secret|private)_?key|ak|sk)(_|$)"
)
MASK = "********"
_SERVER_PYTHON = "python3"


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


def node_argv(node: Node, *words: str) -> List[str]:
    """Return the argv that runs `telechat-run node <words>` on the node: in its container if it has one.

    A node without a runtime path is this machine, and runs the package of this interpreter.
    """
    inside = ["docker", "exec", "-i", node.container] if node.container else []
    return [*_become(node), *inside, *_runtime(node, node.python), "node", *words]


def host_argv(node: Node, *words: str) -> List[str]:
    """Return the argv that runs `telechat-run node <words>` on the server itself, with the server's own interpreter.

    The container has the runtime from the server, at the same path.
    """
    return [*_become(node), *_runtime(node, _SERVER_PYTHON), "node", *words]


def _become(node: Node) -> List[str]:
    return ["sudo", "-n"] if node.connection.become else []


def _runtime(node: Node, python: str) -> List[str]:
    return [python, node.runtime_path] if node.runtime_path else [sys.executable, "-m", "telechat_runtime"]


def job_python(node: Node) -> str:
    """Return the interpreter with MindSpore on the node."""
    return node.python or sys.executable
