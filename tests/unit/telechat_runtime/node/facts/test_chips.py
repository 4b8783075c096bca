# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import pytest

from telechat_runtime.node.facts import chips

OUTPUTS = Path(__file__).parents[2] / "ascend" / "npu_smi_outputs"


def npu_smi(folder: Path, info: str, board: str) -> str:
    """Return a program that prints what npu-smi does."""
    for name, text in (("info", info), ("board", board)):
        (folder / name).write_text(text)
    program = folder / "npu-smi"
    program.write_text(f"#!/bin/sh\n[ $# -eq 1 ] && exec cat {folder}/info\nexec cat {folder}/board\n")
    program.chmod(0o755)
    return str(program)


def captured(name: str) -> str:
    return (OUTPUTS / f"{name}.txt").read_text(encoding="utf-8")


def test_chips_with_their_health_and_what_runs_on_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = npu_smi(tmp_path, captured("info_23.0.3_910b2_idle"), captured("board_23.0.3_800t_a2"))
    monkeypatch.setattr(chips, "_PROGRAMS", ("/nonexistent", program))
    found = chips.look()
    assert (found["program"], found["error"]) == (program, None)
    assert [chip["npu_id"] for chip in found["chips"]] == list(range(8))
    assert {(chip["name"], chip["health"]) for chip in found["chips"]} == {("910B2", "OK")}
    assert found["boards"][7] == {
        "npu_id": 7,
        "driver": "23.0.3",
        "firmware": "7.1.0.5.220",
        "compatibility": "OK",
    }


def test_the_reason_why_there_are_no_chips(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chips, "_PROGRAMS", (npu_smi(tmp_path, captured("info_8005"), ""),))
    found = chips.look()
    assert found["chips"] == []
    assert found["error"] == "dcmi module initialize failed. ret is -8005"
    monkeypatch.setattr(chips, "_PROGRAMS", (npu_smi(tmp_path, "Killed\n", ""),))
    assert chips.look()["error"] == "npu-smi info shows no chips"


def test_a_program_that_cannot_be_started_shows_no_chips(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "npu-smi"
    program.touch(mode=0o644)
    monkeypatch.setattr(chips, "_PROGRAMS", (str(program),))
    assert chips.look()["error"] == "npu-smi info shows no chips"
