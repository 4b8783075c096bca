# SPDX-License-Identifier: Apache-2.0
"""Read what npu-smi prints.

npu-smi has no JSON output. The text changes with the driver release (column widths, further columns) and with the
server (Atlas A3 prints two chips an NPU); these parsers go by the header's words and the separators, never by screen
columns.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Dict, List, Optional, Set, Tuple

_BUS_ID = re.compile(r"[0-9A-Fa-f]{4}:[0-9A-Fa-f]{2}:[0-9A-Fa-f]{2}\.[0-9A-Fa-f]")
_USED_OF_TOTAL = re.compile(r"(\d+)\s*/\s*(\d+)\s*$")
_CHIP_IDS = re.compile(r"(\d+)\s+(\d+)\b")
_ERROR = re.compile(r"(?P<text>[^\n]*ret is (?P<code>-\d+)[^\n]*)")
_NOTHING = ("NA", "-", "")
_CHIP_CELLS = 3

DEVICE_IN_USE = -8020
DRIVER_NOT_LOADED = -8005


@dataclass(frozen=True)
class ChipStatus:
    """One chip of `npu-smi info`; HBM in MB, None where npu-smi prints NA."""

    npu_id: int
    chip_id: int
    name: str
    health: str
    bus_id: str
    hbm_used: Optional[int]
    hbm_total: Optional[int]


@dataclass(frozen=True)
class Board:
    """The versions of `npu-smi info -t board`: what runs, not what is installed; None where npu-smi prints NA."""

    driver_version: Optional[str]
    firmware_version: Optional[str]
    compatibility: Optional[str]
    chip_count: Optional[int]


@dataclass(frozen=True)
class ChipHealth:
    """`npu-smi info -t health`: status (OK, Alarm, Critical, …), error codes, and their text."""

    status: str
    error_codes: Tuple[str, ...]
    information: str


@dataclass(frozen=True)
class NpuSmiError:
    """Why npu-smi could not ask the chips: DCMI's code (-8005 no driver, -8020 device in use) and its line."""

    code: int
    text: str


def parse_error(text: str) -> Optional[NpuSmiError]:
    """Return DCMI's error in what npu-smi printed, or None when there is none."""
    match = _ERROR.search(text)
    return NpuSmiError(code=int(match.group("code")), text=match.group("text").strip()) if match else None


def parse_info(text: str) -> List[ChipStatus]:
    """Return the chips of `npu-smi info`; empty when it printed no chip table (see parse_error)."""
    chips: List[ChipStatus] = []
    npu: Optional[Tuple[int, str, str]] = None
    for cells in _rows(text):
        if "Process id" in cells:
            break
        first = cells[0].split()
        if len(cells) != _CHIP_CELLS or not first or not first[0].isdecimal():
            continue
        if _BUS_ID.fullmatch(cells[1]):
            if npu is not None:
                used, total = _used_of_total(cells[-1])
                chips.append(ChipStatus(npu[0], int(first[0]), npu[1], npu[2], cells[1], used, total))
        elif len(first) > 1:
            npu = (int(first[0]), " ".join(first[1:]), cells[1])
    return chips


def busy_chips(text: str) -> Set[Tuple[int, int]]:
    """Return (NPU id, chip id) of the chips for which `npu-smi info` lists a process, whatever it says of it."""
    busy: Set[Tuple[int, int]] = set()
    is_process = False
    for cells in _rows(text):
        ids = _CHIP_IDS.match(cells[0])
        if is_process and ids and len(cells) > 1:
            busy.add((int(ids.group(1)), int(ids.group(2))))
        is_process = is_process or "Process id" in cells
    return busy


def parse_board(text: str) -> Board:
    """Return the versions of `npu-smi info -t board -i N`."""
    fields = _fields(text)
    return Board(
        driver_version=_value(fields, "Software Version"),
        firmware_version=_value(fields, "Firmware Version"),
        compatibility=_value(fields, "Compatibility"),
        chip_count=_number(" ".join(fields.get("Chip Count", []))),
    )


def parse_health(text: str) -> Optional[ChipHealth]:
    """Return `npu-smi info -t health -i N -c M`, or None when it names no health (a card that is not there)."""
    fields = _fields(text)
    status = _value(fields, "Health Status")
    if status is None:
        return None
    codes = (_value(fields, "Error Code") or "").split()
    return ChipHealth(status=status, error_codes=tuple(codes), information=_value(fields, "Error Information") or "")


def _rows(text: str) -> List[List[str]]:
    lines = (line.strip() for line in text.splitlines())
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]


def _fields(text: str) -> Dict[str, List[str]]:
    """Return `key : value` lines; a line with an empty key goes on with the value above it."""
    fields: Dict[str, List[str]] = {}
    key = ""
    for line in text.splitlines():
        name, separator, value = line.partition(":")
        if separator:
            key = name.strip() or key
            fields.setdefault(key, []).append(value.strip())
    return fields


def _value(fields: Dict[str, List[str]], key: str) -> Optional[str]:
    value = " ".join(fields.get(key, [])).strip()
    return None if value in _NOTHING else value


def _number(text: str) -> Optional[int]:
    return int(text) if text.strip().isdecimal() else None


def _used_of_total(cell: str) -> Tuple[Optional[int], Optional[int]]:
    match = _USED_OF_TOTAL.search(cell)
    return (int(match.group(1)), int(match.group(2))) if match else (None, None)
