# SPDX-License-Identifier: Apache-2.0
"""The MindSpore environment: a virtual environment that hosts and containers mount read-only at one path.

Made with Debian's own python3.11, which the base image and the container image have too.
"""

from __future__ import annotations

from pathlib import Path

import tomllib

from lab.errors import LabError
from lab.layout import CHECKOUT, MINDSPORE_ENV
from lab.process import contained, run

PYTHON = Path("/usr/bin/python3.11")
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


def moved(script: bytes, made_at: Path) -> bytes:
    """Return a script of the environment so that it works where it will be mounted, and in the cache as well.

    A Python script then begins as a shell script that runs the interpreter beside it; for Python these lines are a
    string. Any other path is that of the mount.
    """
    first, newline, rest = script.partition(b"\n")
    if first.startswith(f"#!{made_at}/bin/python".encode()):
        script = _RELOCATABLE + newline + rest
    return script.replace(str(made_at).encode(), MINDSPORE_ENV.encode())


def build(folder: Path, _needs: dict[str, Path]) -> None:
    """Make the environment in a folder (3 GB, about 90 s)."""
    if not PYTHON.exists():
        raise LabError(
            f"{PYTHON} is missing: the hosts are Debian 12 and run MindSpore with that interpreter. "
            "Install python3.11 and python3.11-venv (a Debian 12 machine has them), or use `lab up --no-mindspore`"
        )
    run([PYTHON, "-m", "venv", folder])
    pip = folder / "bin/pip"
    run(contained([pip, "install", "--quiet", "--disable-pip-version-check", "wheel", *project_pins()]))
    for path in (folder / "bin").iterdir():
        if path.is_symlink():
            continue
        data = path.read_bytes()
        if str(folder).encode() in data:
            path.write_bytes(moved(data, folder))
