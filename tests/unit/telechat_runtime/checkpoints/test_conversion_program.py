# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from telechat_runtime.checkpoints.convert import conversion_program, merge_program
from telechat_runtime.plan.program import Processes, Program


@pytest.mark.parametrize(
    ("program", "says"),
    [
        (conversion_program({"checkpoint": "/none.ckpt", "output": "/o"}), "convert: error: /none.ckpt does not exist"),
        (
            merge_program({"checkpoint": "/none.ckpt", "output": "/o", "scaling": 1}),
            "merge-lora: error: /none.ckpt does not exist",
        ),
    ],
)
def test_a_work_folder_holds_all_that_the_program_needs(program: Program, says: str, tmp_path: Path) -> None:
    """It runs where neither this package nor MindSpore is installed, and refuses what it can't use with 3."""
    assert program.processes is Processes.RANK_0
    for name, text in program.files:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    words = [word.replace("{work}", str(tmp_path)) for word in program.own.words]
    argv = [sys.executable, "-S", "-E", *words]
    done = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert done.stderr.strip() == says
    assert done.returncode == 3
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith("strategy-")] == []
