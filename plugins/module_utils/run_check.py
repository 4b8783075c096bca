# SPDX-License-Identifier: Apache-2.0
"""Judge what npu-smi, MindSpore, MindFormers and the node runtime say about a server."""

from __future__ import annotations

import json
from typing import Any, Dict, NamedTuple, Optional, Sequence

from ansible.module_utils.ascend import run_check
from ansible.module_utils.ascend.npu_smi import Board, ChipStatus
from ansible.module_utils.command_result import Result

COMPONENTS = ("driver", "firmware", "cann", "mindspore", "mindformers")
WARN, REFUSE = "warn", "refuse"


class Check(NamedTuple):
    """One judged check: ``detail`` is what people read, good or bad; ``caution`` is good that could be better."""

    name: str
    ok: bool
    detail: str
    caution: bool = False


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
    """``mindspore.run_check()`` computed on the wanted platform."""
    return Check(*run_check.judge_mindspore(result.rc, _output(result), device_target))


def judge_mindformers(result: Result) -> Check:
    """``mindformers.run_check()`` printed that all checks passed, with matching versions or without."""
    return Check(*run_check.judge_mindformers(result.rc, _output(result)))


def judge_runtime(result: Result, path: str) -> Check:
    """The node runtime starts with the interpreter of the jobs and answers ``node versions``."""
    answer = _answer(result)
    if answer is None:
        tail = run_check.last_lines(_output(result))
        return Check("runtime", False, f"{path} gives no answer: {tail}")
    place = [answer["python"], answer["libc"] or "unknown libc", answer["architecture"]]
    return Check("runtime", True, "telechat-run {} on Python {}, {}, {}".format(answer["runtime"]["version"], *place))


def judge_matrix(result: Result, off_matrix: str) -> Check:
    """The versions of HDK, CANN, MindSpore and MindFormers fit, as the node runtime judges them where jobs run."""
    answer = _answer(result)
    if answer is None:
        return Check("matrix", False, "the node runtime did not tell the versions")
    matrix = answer["matrix"]
    found = ["{} {}".format(*pair) for pair in answer["versions"].items() if pair[1] and pair[0] in COMPONENTS]
    against = "; ".join(matrix["reasons"] + matrix["costs"])
    mend = "; smallest change: {}".format(", ".join(matrix["change"])) if matrix["change"] else ""
    verdict = matrix["verdict"]
    if verdict == "broken":
        return Check("matrix", False, f"broken: {against}{mend}")
    if verdict == "off":
        return Check("matrix", off_matrix != REFUSE, f"works, not recommended: {against}{mend}", caution=True)
    if verdict == "unknown":
        return Check("matrix", True, "not judged, not seen: {}".format(", ".join(matrix["not_seen"])), caution=True)
    return Check("matrix", True, "on the matrix: {}".format(", ".join(found)))


def _output(result: Result) -> str:
    return result.stdout + "\n" + result.stderr


def _answer(result: Result) -> Optional[Dict[str, Any]]:
    """Return the last line of the output as JSON object: what a shell's start-up prints stands before it."""
    lines = result.stdout.strip().splitlines()
    try:
        answer = json.loads(lines[-1]) if lines and result.rc == 0 else None
    except ValueError:
        return None
    return answer if isinstance(answer, dict) and "matrix" in answer else None
