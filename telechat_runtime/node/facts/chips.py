# SPDX-License-Identifier: Apache-2.0
"""Asks npu-smi for the chips, their health and what runs on them."""

from __future__ import annotations

import os
import subprocess
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Dict, Optional

from telechat_runtime.ascend.npu_smi import Board, ChipStatus, parse_board, parse_error, parse_info
from telechat_runtime.node.tool import ask_tool

_PROGRAMS = ("/usr/local/sbin/npu-smi", "/usr/local/bin/npu-smi", "/usr/bin/npu-smi")
# npu-smi answers a board in some tenths of a second; eight one after the other would be most of an examination.
_BOARDS_AT_ONCE = 4
_SECONDS = 60


def health() -> Dict[str, Any]:
    """Return the chips with their health, and why there are none; asks npu-smi once."""
    path = program()
    if path is None:
        return {"program": None, "error": "there is no npu-smi", "chips": []}
    said = ask(path, "info")
    chips = [_chip(status) for status in parse_info(said)]
    if chips:
        return {"program": path, "error": None, "chips": chips}
    error = parse_error(said)
    return {"program": path, "error": error.text if error else "npu-smi info shows no chips", "chips": []}


def look() -> Dict[str, Any]:
    """Return the chips, their boards, and why there are none."""
    found = health()
    path, chips = found["program"], found["chips"]
    if not chips:
        return {**found, "boards": []}
    ids = sorted({chip["npu_id"] for chip in chips})
    with ThreadPoolExecutor(max_workers=_BOARDS_AT_ONCE) as pool:
        texts = list(pool.map(lambda npu_id: ask(path, "info", "-t", "board", "-i", str(npu_id)), ids))
    boards = [{"npu_id": npu_id, **_board(parse_board(text))} for npu_id, text in zip(ids, texts)]
    return {**found, "boards": boards}


def program() -> Optional[str]:
    """Return where npu-smi is, if it is anywhere."""
    return next((path for path in _PROGRAMS if os.path.isfile(path)), None)


def ask(path: str, *words: str) -> str:
    """Return what npu-smi says, on whichever output, or why it says nothing."""
    try:
        done = ask_tool([path, *words], seconds=_SECONDS)
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    return done.stdout + done.stderr


def _chip(status: ChipStatus) -> Dict[str, Any]:
    return {"npu_id": status.npu_id, "chip_id": status.chip_id, "name": status.name, "health": status.health}


def _board(board: Board) -> Dict[str, Optional[str]]:
    return {
        "driver": board.driver_version,
        "firmware": board.firmware_version,
        "compatibility": board.compatibility,
    }
