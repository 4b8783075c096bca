# SPDX-License-Identifier: Apache-2.0
"""Ask npu-smi which chips answer and which versions run on them, again where it gives no answer. Changes nothing."""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Callable, Dict, List, NamedTuple, Optional, Tuple

from ansible.module_utils.ascend import npu_smi
from ansible.module_utils.command_result import Result, Run
from ansible.module_utils.hdk.leftovers import NPU_SMI_PATHS
from ansible.module_utils.hdk.state import UNKNOWN, Chip

# What npu-smi of newer releases says where ascend_install.info lacks Driver_Install_Status=complete.
_HALF_INSTALLED = "may not be completely installed"
# npu-smi answers a board in some tenths of a second; eight one after the other would be most of a look.
_BOARDS_AT_ONCE = 4
# Before npu-smi is asked again: dcmi of a loaded host takes 20 s, and a chip that is being reset answers NA.
_PAUSES_SECONDS = (5, 20)
# A chip that hangs takes the whole time limit of a command each time.
_LONGEST_SECONDS = 180


class ChipsAnswer(NamedTuple):
    """What npu-smi says: the chips, or why there are none.

    `unknown` is whether the kernel has the driver and npu-smi is there, but doesn't list the chips: which versions run
    can't be told then. `complete` is whether npu-smi takes the driver's installation for complete.
    """

    chips: Tuple[Chip, ...]
    error: Optional[str]
    complete: bool = True
    unknown: bool = False


class Patience(NamedTuple):
    """How to wait before npu-smi is asked again: a sleep and a monotonic clock, in seconds."""

    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic


PATIENCE = Patience()


def running_chips(run: Run, root: str = "/", *, driver_loaded: bool, patience: Patience = PATIENCE) -> ChipsAnswer:
    """Ask npu-smi for all chips and what runs on them; what it doesn't tell is asked again, and then UNKNOWN.

    Without a driver in the kernel no chip can answer, so that npu-smi is asked once.
    """
    program = npu_smi_path(root)
    if program is None:
        return ChipsAnswer((), "npu-smi is not installed")
    turns = _Turns(patience)
    while True:
        answer = run([program, "info"])
        statuses = npu_smi.parse_info(answer.stdout) if answer.rc == 0 else []
        if statuses or not driver_loaded or not turns.another():
            break
    complete = _HALF_INSTALLED not in answer.stdout + answer.stderr
    if not statuses:
        return ChipsAnswer((), _why_no_answer(answer, "npu-smi info"), complete, unknown=driver_loaded)
    boards = _boards(run, program, sorted({status.npu_id for status in statuses}), patience)
    return ChipsAnswer(tuple(_chip(run, program, status, boards[status.npu_id]) for status in statuses), None, complete)


def npu_smi_path(root: str = "/") -> Optional[str]:
    """Return where npu-smi is, or None; a folder of that name (left by a container mount) is none."""
    candidates = (os.path.join(root, path) for path in NPU_SMI_PATHS)
    return next((path for path in candidates if os.path.isfile(path)), None)


def npu_smi_folders(root: str = "/") -> List[str]:
    """Return npu-smi's paths where a folder is in the program's place."""
    return [path for path in (os.path.join(root, name) for name in NPU_SMI_PATHS) if os.path.isdir(path)]


class _Turns:
    """The further times that npu-smi may be asked."""

    def __init__(self, patience: Patience) -> None:
        self._patience = patience
        self._begun = patience.clock()
        self._pauses = iter(_PAUSES_SECONDS)

    def another(self) -> bool:
        """Wait for the next turn; False when there is none any more."""
        pause = next(self._pauses, None)
        if pause is None or self._patience.clock() - self._begun > _LONGEST_SECONDS:
            return False
        self._patience.sleep(pause)
        return True


class _Board(NamedTuple):
    """A board as npu-smi tells it, and why some of it is unknown."""

    board: npu_smi.Board
    gap: str


def _boards(run: Run, program: str, npu_ids: List[int], patience: Patience) -> Dict[int, _Board]:
    """Return the board of each NPU; those with unknown versions are asked again."""
    found: Dict[int, _Board] = {}
    turns = _Turns(patience)
    while True:
        asked = [npu_id for npu_id in npu_ids if npu_id not in found or found[npu_id].gap]
        with ThreadPoolExecutor(max_workers=_BOARDS_AT_ONCE) as pool:
            found.update(zip(asked, pool.map(lambda npu_id: _board(run, program, npu_id), asked)))
        if not any(board.gap for board in found.values()) or not turns.another():
            return found


def _board(run: Run, program: str, npu_id: int) -> _Board:
    answer = run([program, "info", "-t", "board", "-i", str(npu_id)])
    if answer.rc != 0:
        return _Board(
            npu_smi.Board(None, None, None, None), _why_no_answer(answer, f"npu-smi info -t board -i {npu_id}")
        )
    board = npu_smi.parse_board(answer.stdout)
    return _Board(
        board, "" if board.driver_version and board.firmware_version else f"npu-smi info -t board -i {npu_id} prints NA"
    )


def _chip(run: Run, program: str, status: npu_smi.ChipStatus, answer: _Board) -> Chip:
    error = ""
    if status.health != "OK":
        argv = [program, "info", "-i", str(status.npu_id), "-c", str(status.chip_id), "-t", "health"]
        health = npu_smi.parse_health(run(argv).stdout)
        error = " ".join([*health.error_codes, health.information]).strip() if health else ""
    return Chip(
        npu_id=status.npu_id,
        chip_id=status.chip_id,
        name=status.name,
        health=status.health,
        error=error,
        driver_version=answer.board.driver_version or UNKNOWN,
        firmware_version=answer.board.firmware_version or UNKNOWN,
        compatibility=answer.board.compatibility,
        gap=answer.gap,
    )


def _why_no_answer(answer: Result, command: str) -> str:
    error = npu_smi.parse_error(answer.stdout) or npu_smi.parse_error(answer.stderr)
    if error:
        return error.text
    lines = [line.strip() for line in (answer.stdout + "\n" + answer.stderr).splitlines() if line.strip()]
    return f"{command} ended with {answer.rc}: {lines[-1] if lines else 'it printed nothing'}"
