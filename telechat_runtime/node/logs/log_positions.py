# SPDX-License-Identifier: Apache-2.0
"""Finds where in a log the last lines begin, or those since a moment, without reading all of a log of days."""

from __future__ import annotations

import os
import re
import time
from typing import BinaryIO, Optional

_CHUNK_BYTES = 1 << 16
# MindFormers writes `2026-01-01 10:00:00,123`, MindSpore `2026-01-01-10:00:00.123.456`, both in the node's local time.
_TIME = re.compile(rb"(\d{4})-(\d\d)-(\d\d)[ T-](\d\d):(\d\d):(\d\d)")


def tail_position(path: str, lines: int) -> int:
    """Return the byte at which the last `lines` whole lines of a file begin."""
    with open(path, "rb") as file:
        position = end = _end_of_last_line(file)
        wanted = lines + 1  # the line end before the first of them
        while position > 0 and lines > 0:
            start = max(0, position - _CHUNK_BYTES)
            file.seek(start)
            chunk = file.read(position - start)
            found = len(chunk)
            while wanted and (found := chunk.rfind(b"\n", 0, found)) >= 0:
                wanted -= 1
            if not wanted:
                return start + found + 1
            position = start
        return end if lines == 0 else 0


def since_position(path: str, since: float) -> int:
    """Return the byte at which the first line with a time of `since` (Unix time) or later begins.

    Lines are taken to be in the order of their times; those without one belong to the line before them.
    """
    with open(path, "rb") as file:
        low, high = 0, _end_of_last_line(file)
        end = high
        while high - low > _CHUNK_BYTES:
            middle = (low + high) // 2
            found = _first_time(file, _next_line(file, middle), high)
            if found is not None and found < since:
                low = middle
            else:
                high = middle
        file.seek(low if low == 0 else _next_line(file, low))
        while (position := file.tell()) < end:
            moment = _time_of(file.readline())
            if moment is not None and moment >= since:
                return position
        return end


def _end_of_last_line(file: BinaryIO) -> int:
    position = file.seek(0, os.SEEK_END)
    while position > 0:
        start = max(0, position - _CHUNK_BYTES)
        file.seek(start)
        found = file.read(position - start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        position = start
    return 0


def _next_line(file: BinaryIO, position: int) -> int:
    file.seek(position)
    file.readline()
    return file.tell()


def _first_time(file: BinaryIO, begin: int, end: int) -> Optional[float]:
    file.seek(begin)
    while file.tell() < end:
        moment = _time_of(file.readline())
        if moment is not None:
            return moment
    return None


def _time_of(line: bytes) -> Optional[float]:
    match = _TIME.search(line)
    if match is None:
        return None
    year, month, day, hour, minute, second = (int(part) for part in match.groups())
    try:
        return time.mktime((year, month, day, hour, minute, second, 0, 0, -1))
    except (OverflowError, ValueError):
        return None
