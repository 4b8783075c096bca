# SPDX-License-Identifier: Apache-2.0
"""HBM of the NPUs and the processes that npu-smi says have it; memory that is used by nobody comes back by a reset."""

from __future__ import annotations

import re
import subprocess
from typing import Any, Dict, List, Optional, Set, Tuple

from telechat_runtime.node.facts import chips

# An idle 910B has some 2.6 to 3.4 GB of its HBM in use by its firmware.
IDLE_MB = 5000
_USAGE = re.compile(r"(\d+)\s*/\s*(\d+)")
_RESET_SECONDS = 120
_CELLS_OF_A_CHIP = 3
_CELLS_OF_A_PROCESS = 4


def held_by_nobody() -> List[Dict[str, int]]:
    """Return the chips with more HBM in use than an idle one has, and no process: npu_id, chip_id, used_mb."""
    program = chips.program()
    return unowned(chips.ask(program, "info")) if program else []


def unowned(text: str) -> List[Dict[str, int]]:
    """Read that from the output of `npu-smi info`; its columns move with the driver, so it goes by words and order."""
    used: Dict[Tuple[int, int], int] = {}
    owned: Set[Tuple[int, int]] = set()
    npu: Optional[int] = None
    in_processes = False
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        in_processes = in_processes or "Process id" in cells
        numbers = cells[0].split()
        if not numbers or not numbers[0].isdecimal():
            continue
        if in_processes:
            if len(cells) >= _CELLS_OF_A_PROCESS and len(numbers) > 1 and numbers[1].isdecimal():
                owned.add((int(numbers[0]), int(numbers[1])))
        elif len(cells) == _CELLS_OF_A_CHIP and chips.is_bus_id(cells[1]):
            usages = _USAGE.findall(cells[2])
            if npu is not None and usages:
                used[(npu, int(numbers[0]))] = int(usages[-1][0])
        elif len(cells) == _CELLS_OF_A_CHIP and len(numbers) > 1:
            npu = int(numbers[0])
    return [
        {"npu_id": chip[0], "chip_id": chip[1], "used_mb": megabytes}
        for chip, megabytes in used.items()
        if megabytes > IDLE_MB and chip not in owned
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
