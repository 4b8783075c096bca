# SPDX-License-Identifier: Apache-2.0
"""Judge what MindSpore, MindFormers and npu-smi say about a node.

The exit code of ``mindformers.run_check()`` is 0 even when its MindSpore or predict part fails, so its text decides.
"""

from __future__ import annotations

import re
from typing import NamedTuple, Optional, Sequence

from ansible.module_utils.command_result import Result
from ansible.module_utils.npu_smi import Board, ChipStatus

MINDFORMERS_FAILED = ("MindSpore failed!", "Predict test failed!", "Pretrain test failed!", "The run check failed")
MINDFORMERS_MATCHED = "All checks passed"
# TeleChat2's fork knows the versions of an older release only: on the guide's stack this is as good as it gets.
MINDFORMERS_UNMATCHED = "unmatched but all checks passed"


class Check(NamedTuple):
    """One judged check: ``detail`` is what people read, good or bad."""

    name: str
    ok: bool
    detail: str


def judge_chips(chips: Sequence[ChipStatus], wanted: int) -> Check:
    """All wanted chips are there and their health is OK (the words seen are OK, Warning, Alarm, Critical)."""
    bad = [f"NPU {chip.npu_id} chip {chip.chip_id} is {chip.health}" for chip in chips if chip.health != "OK"]
    if len(chips) != wanted:
        bad.insert(0, f"npu-smi shows {len(chips)} chips, ascend_npu_count is {wanted}")
    return Check("chips", not bad, "; ".join(bad) or f"{len(chips)} chips OK")


def judge_versions(boards: Sequence[Board], driver: Optional[str], firmware: Optional[str]) -> Check:
    """What runs on every chip is what is installed: a difference means that a reboot is due."""
    bad = []
    for number, board in enumerate(boards):
        for part, running, installed in (
            ("driver", board.driver_version, driver),
            ("firmware", board.firmware_version, firmware),
        ):
            if (running or "").lower() != (installed or "").lower():
                bad.append(f"NPU {number} runs {part} {running}, installed is {installed} (a reboot is due)")
        if board.compatibility not in (None, "OK"):
            bad.append(f"NPU {number}: compatibility of driver and firmware is {board.compatibility}")
    return Check("versions", not bad, "; ".join(bad) or f"driver {driver}, firmware {firmware}")


def judge_mindspore(result: Result, device_target: str) -> Check:
    """``mindspore.run_check()`` computed on the wanted platform: on another one it does not call itself failed."""
    text = result.stdout + "\n" + result.stderr
    version = re.search(r"MindSpore version:\s*(\S+)", text)
    done = re.search(r"has been installed on platform \[(\w+)\] successfully", text)
    if result.rc == 0 and done and done.group(1) == device_target:
        return Check(
            "mindspore", True, "MindSpore {} on {}".format(version.group(1) if version else "?", device_target)
        )
    if result.rc == 0 and done:
        return Check("mindspore", False, f"MindSpore runs on {done.group(1)}, wanted {device_target}")
    return Check("mindspore", False, f"mindspore.run_check() failed: {_tail(text)}")


def judge_mindformers(result: Result) -> Check:
    """``mindformers.run_check()`` said that all checks passed, with matching versions or without."""
    text = result.stdout + "\n" + result.stderr
    failure = next((line.strip() for line in text.splitlines() if any(mark in line for mark in MINDFORMERS_FAILED)), "")
    if result.rc != 0 or failure:
        return Check("mindformers", False, f"mindformers.run_check() failed: {failure or _tail(text)}")
    if MINDFORMERS_UNMATCHED in text:
        return Check("mindformers", True, "all checks passed; MindFormers does not know this pair of versions")
    if MINDFORMERS_MATCHED in text:
        return Check("mindformers", True, "all checks passed")
    return Check("mindformers", False, f"mindformers.run_check() came to no result: {_tail(text)}")


def judge_runtime(result: Result, path: str) -> Check:
    """The node runtime starts with the interpreter of the jobs."""
    if result.rc == 0 and result.stdout.startswith("telechat-run"):
        return Check("runtime", True, result.stdout.strip())
    return Check("runtime", False, "{} does not start: {}".format(path, _tail(result.stdout + "\n" + result.stderr)))


def _tail(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return " / ".join(lines[-3:]) if lines else "it printed nothing"
