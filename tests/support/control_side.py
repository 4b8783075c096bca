# SPDX-License-Identifier: Apache-2.0
"""telechat-run as tests start it by the dozen: its own interpreter and packages, and an inventory that is read fast."""

from __future__ import annotations

import atexit
import functools
import shutil
import sys
import tempfile
from pathlib import Path
from typing import List

_STAND_IN = Path(__file__).parent / "ansible_inventory_stand_in.py"
REAL_INVENTORY = Path(sys.executable).parent / "ansible-inventory"


def telechat_run() -> List[str]:
    """Return the argv that starts telechat-run, in an environment like this one but for its ansible-inventory."""
    return [str(control_python()), "-m", "telechat_runtime"]


@functools.cache
def control_python() -> Path:
    """Return the Python of a virtual environment that has this one's packages, and the stand-in beside it."""
    folder = Path(tempfile.mkdtemp(prefix="telechat-control-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    python = folder / "bin" / "python"
    python.parent.mkdir()
    python.symlink_to(sys.executable)
    (folder / "lib").symlink_to(Path(sys.prefix) / "lib")
    (folder / "pyvenv.cfg").write_text(f"home = {Path(sys.executable).resolve().parent}\n", encoding="utf-8")
    write_stand_in(python.parent)
    return python


def fast_inventory() -> Path:
    """Return the stand-in for ansible-inventory."""
    return control_python().with_name("ansible-inventory")


def write_stand_in(folder: Path, real: Path = REAL_INVENTORY) -> Path:
    """Write the stand-in into a folder; return its path. What it does not know, it asks `real`."""
    stand_in = folder / "ansible-inventory"
    text = _STAND_IN.read_text(encoding="utf-8").replace("@REAL@", str(real))
    stand_in.write_text(f"#!{sys.executable} -SE\n{text}", encoding="utf-8")
    stand_in.chmod(0o755)
    return stand_in
