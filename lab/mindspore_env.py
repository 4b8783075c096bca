# SPDX-License-Identifier: Apache-2.0
"""The MindSpore environment: a virtual environment that hosts and containers mount read-only at one path.

Made with the Python of the hosts' Debian, in a root of it, whatever Python this machine has.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import tomllib

from lab import python_root
from lab.layout import CHECKOUT, MINDSPORE_ENV

if TYPE_CHECKING:
    from pathlib import Path

EXTRA = "cpu"
_RELOCATABLE = b"""#!/bin/sh
'''exec' "$(dirname -- "$0")/python3" "$0" "$@"
' '''"""


def pins(pyproject: str) -> list[str]:
    """Return the requirements of the project's extra for MindSpore on CPU."""
    return sorted(tomllib.loads(pyproject)["project"]["optional-dependencies"][EXTRA])


def project_pins() -> list[str]:
    """Return the pins of this checkout."""
    return pins((CHECKOUT / "pyproject.toml").read_text())


def relocatable(script: bytes) -> bytes:
    """Return a script of the environment so that it works in the cache as well as where it is mounted.

    A Python script then begins as a shell script that runs the interpreter beside it; for Python these lines are a
    string.
    """
    first, newline, rest = script.partition(b"\n")
    if first.startswith(f"#!{MINDSPORE_ENV}/bin/python".encode()):
        return _RELOCATABLE + newline + rest
    return script


def build(folder: Path, needs: dict[str, Path]) -> None:
    """Make the environment in a folder (3 GB, about 90 s)."""
    root = needs["python"]
    binds = {MINDSPORE_ENV: (folder, "rw")}
    python_root.run_inside(root, [python_root.python(root), "-m", "venv", MINDSPORE_ENV], binds=binds)
    pip = [f"{MINDSPORE_ENV}/bin/pip", "install", "--quiet", "--disable-pip-version-check", "--no-cache-dir"]
    python_root.run_inside(root, [*pip, "--root-user-action=ignore", "wheel", *project_pins()], binds=binds)
    for path in (folder / "bin").iterdir():
        if not path.is_symlink():
            path.write_bytes(relocatable(path.read_bytes()))
