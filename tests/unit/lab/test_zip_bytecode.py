# SPDX-License-Identifier: Apache-2.0
"""The bytecode that hosts keep of zipped modules."""

from __future__ import annotations

import marshal
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from lab.debian import HOST_PYTHON
from lab.layout import CHECKOUT

PROGRAM = """
import sys
import zip_bytecode
zip_bytecode.FOLDER, archive = sys.argv[1:]
sys.path.insert(0, archive)
import answer
print(answer.VALUE)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "kept"
    path.mkdir()
    return path


def answer(tmp_path: Path, folder: Path, source: str) -> str:
    """Import the source from an archive, in a Python of its own, and return the value that it had."""
    archive = tmp_path / "modules.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("answer.py", source)
    argv = [sys.executable, "-c", PROGRAM, folder, archive]
    env = {"PYTHONPATH": str(CHECKOUT / HOST_PYTHON), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(argv, env=env, text=True, capture_output=True, check=True).stdout.strip()


def test_what_was_compiled_once_is_taken_from_there(tmp_path: Path, folder: Path) -> None:
    assert answer(tmp_path, folder, "VALUE = 1") == "1"
    (kept,) = folder.iterdir()
    kept.write_bytes(marshal.dumps(compile("VALUE = 'kept'", "answer.py", "exec")))
    assert answer(tmp_path, folder, "VALUE = 1") == "kept"


def test_other_sources_are_compiled_anew(tmp_path: Path, folder: Path) -> None:
    assert [answer(tmp_path, folder, f"VALUE = {value}") for value in (1, 2, 1)] == ["1", "2", "1"]


def test_where_nothing_can_be_kept_modules_work_all_the_same(tmp_path: Path) -> None:
    assert answer(tmp_path, tmp_path / "missing", "VALUE = 1") == "1"
