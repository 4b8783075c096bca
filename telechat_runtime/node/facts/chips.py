# SPDX-License-Identifier: Apache-2.0
"""Asks npu-smi for the chips, their health and what runs on them.

npu-smi has no JSON output, and its text changes with the driver: this goes by separators and words, not by columns.
"""

from __future__ import annotations

import os
import re
import subprocess
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Dict, List, Optional, Tuple

from telechat_runtime.node.facts.tool import ask_tool

_PROGRAMS = ("/usr/local/sbin/npu-smi", "/usr/local/bin/npu-smi", "/usr/bin/npu-smi")
_BUS_ID = re.compile(r"[0-9A-Fa-f]{4}:[0-9A-Fa-f]{2}:[0-9A-Fa-f]{2}\.[0-9A-Fa-f]")
_ERROR = re.compile(r"[^\n]*ret is -\d+[^\n]*")
_CELLS = 3
# npu-smi answers a board in some tenths of a second; eight one after the other would be most of an examination.
_BOARDS_AT_ONCE = 4
_SECONDS = 60


def health() -> Dict[str, Any]:
    """Return the chips with their health, and why there are none; asks npu-smi once."""
    path = program()
    if path is None:
        return {"program": None, "error": "there is no npu-smi", "chips": []}
    said = ask(path, "info")
    chips = parse_chips(said)
    if chips:
        return {"program": path, "error": None, "chips": chips}
    error = _ERROR.search(said)
    reason = error.group(0).strip() if error else "npu-smi info shows no chips"
    return {"program": path, "error": reason, "chips": []}


def look() -> Dict[str, Any]:
    """Return the chips, their boards, and why there are none."""
    found = health()
    path, chips = found["program"], found["chips"]
    if not chips:
        return {**found, "boards": []}
    ids = sorted({chip["npu_id"] for chip in chips})
    with ThreadPoolExecutor(max_workers=_BOARDS_AT_ONCE) as pool:
        texts = list(pool.map(lambda npu_id: ask(path, "info", "-t", "board", "-i", str(npu_id)), ids))
    boards = [{"npu_id": npu_id, **parse_board(text)} for npu_id, text in zip(ids, texts)]
    return {**found, "boards": boards}


def parse_chips(text: str) -> List[Dict[str, Any]]:
    """Return the chips of `npu-smi info`; a chip is two rows, the NPU's and that with its bus id."""
    chips: List[Dict[str, Any]] = []
    npu: Optional[Tuple[int, str, str]] = None
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if "Process id" in cells:
            break
        first = cells[0].split()
        if len(cells) != _CELLS or not first or not first[0].isdecimal():
            continue
        if not is_bus_id(cells[1]):
            npu = (int(first[0]), " ".join(first[1:]), cells[1]) if len(first) > 1 else npu
        elif npu is not None:
            chips.append({"npu_id": npu[0], "chip_id": int(first[0]), "name": npu[1], "health": npu[2]})
    return chips


def parse_board(text: str) -> Dict[str, Optional[str]]:
    """Return the versions of `npu-smi info -t board`: what runs, not what is installed; None for NA."""
    fields = {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in text.splitlines())}
    names = {"driver": "Software Version", "firmware": "Firmware Version", "compatibility": "Compatibility"}
    found = {key: fields.get(name, "") for key, name in names.items()}
    return {key: None if value in ("", "-", "NA") else value for key, value in found.items()}


def program() -> Optional[str]:
    """Return where npu-smi is, if it is anywhere."""
    return next((path for path in _PROGRAMS if os.path.isfile(path)), None)


def is_bus_id(cell: str) -> bool:
    """Tell whether a cell of npu-smi's table holds a PCI bus id, as the second row of a chip does."""
    return _BUS_ID.fullmatch(cell) is not None


def ask(path: str, *words: str) -> str:
    """Return what npu-smi says, on whichever output, or why it says nothing."""
    try:
        done = ask_tool([path, *words], seconds=_SECONDS)
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    return done.stdout + done.stderr
