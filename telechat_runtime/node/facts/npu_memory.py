# SPDX-License-Identifier: Apache-2.0
"""HBM of the NPUs and the processes that npu-smi says have it; memory that is used by nobody comes back by a reset."""

from __future__ import annotations

import subprocess
from typing import Any, Dict, List

from telechat_runtime.ascend.npu_smi import busy_chips, parse_info
from telechat_runtime.node.facts import chips

# An idle 910B has some 2.6 to 3.4 GB of its HBM in use by its firmware.
IDLE_MB = 5000
_RESET_SECONDS = 120


def held_by_nobody() -> List[Dict[str, int]]:
    """Return the chips with more HBM in use than an idle one has, and no process: npu_id, chip_id, used_mb."""
    program = chips.program()
    return unowned(chips.ask(program, "info")) if program else []


def unowned(text: str) -> List[Dict[str, int]]:
    """Read that from the output of `npu-smi info`."""
    busy = busy_chips(text)
    return [
        {"npu_id": chip.npu_id, "chip_id": chip.chip_id, "used_mb": chip.hbm_used}
        for chip in parse_info(text)
        if chip.hbm_used is not None and chip.hbm_used > IDLE_MB and (chip.npu_id, chip.chip_id) not in busy
    ]


def reset(npu_id: int, chip_id: int) -> str:
    """Reset a chip; return nothing, or what npu-smi said when it did not work."""
    program = chips.program()
    if program is None:
        return "there is no npu-smi"
    argv = [program, "set", "-t", "reset", "-i", str(npu_id), "-c", str(chip_id)]
    try:
        done = subprocess.run(
            argv, input="y\n", capture_output=True, text=True, errors="replace", timeout=_RESET_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    said = (done.stdout + done.stderr).strip()
    return "" if done.returncode == 0 else said or f"npu-smi ended with {done.returncode}"


def state(found: Dict[str, Any]) -> str:
    """Write a finding for reading."""
    return f"NPU {found['npu_id']} chip {found['chip_id']}: {found['used_mb']} MB of HBM held by no process"
