# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import pytest

from telechat_runtime.node.facts import chips, npu_memory
from telechat_runtime.node.facts.npu_memory import reset, unowned

OUTPUTS = Path(__file__).parents[2] / "ascend" / "npu_smi_outputs"


def output(name: str) -> str:
    return (OUTPUTS / f"{name}.txt").read_text(encoding="utf-8")


def test_idle_chips_and_those_whose_processes_are_known_are_nobodys_concern() -> None:
    assert unowned(output("info_23.0.3_910b2_idle")) == []
    assert unowned(output("info_25.0.rc1.1_910b4_busy")) == []
    assert unowned(output("info_8020")) == []


def test_memory_in_use_without_a_process() -> None:
    lines = output("info_25.0.rc1.1_910b4_busy").splitlines()
    header = next(number for number, line in enumerate(lines) if "Process id" in line)
    kept = [line for number, line in enumerate(lines) if number <= header]
    found = unowned("\n".join([*kept, "| No running processes found in NPU 0 |"]))
    assert found
    assert all(each["used_mb"] > npu_memory.IDLE_MB for each in found)


@pytest.mark.parametrize(("script", "said"), [("exit 0", ""), ("echo 'chip is busy'; exit 1", "chip is busy")])
def test_a_reset_answers_the_question_that_npu_smi_asks(
    script: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "npu-smi"
    program.write_text(
        f'#!/bin/sh\nread answer; test "$answer" = y || exit 9\necho "$@" > {tmp_path}/asked\n{script}\n'
    )
    program.chmod(0o755)
    monkeypatch.setattr(chips, "_PROGRAMS", (str(program),))
    assert reset(3, 0) == said
    assert (tmp_path / "asked").read_text() == "set -t reset -i 3 -c 0\n"


def test_without_npu_smi(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chips, "_PROGRAMS", ())
    assert npu_memory.held_by_nobody() == []
    assert reset(0, 0) == "there is no npu-smi"
