# SPDX-License-Identifier: Apache-2.0
"""Tell whether a process that was started earlier still runs; a pid alone is given out again."""

from __future__ import annotations

import os
from typing import List, Optional

# proc(5): fields after the name, which may hold blanks and ends with the last bracket.
_STATE, _STARTTIME = 0, 19
_DEAD = "ZX"


def start_time(pid: int) -> Optional[int]:
    """Return when the process started, in clock ticks after the boot; None when it has ended."""
    fields = _read(f"/proc/{pid}/stat").rpartition(")")[2].split()
    if len(fields) <= _STARTTIME or fields[_STATE] in _DEAD:
        return None
    return int(fields[_STARTTIME])


def runs(pid: Optional[int], started: Optional[int]) -> bool:
    """Tell whether the process that had this pid and start time runs."""
    return pid is not None and started is not None and start_time(pid) == started


def with_command(argv: List[str]) -> Optional[int]:
    """Return the pid of a running process whose command line ends with argv (a script's begins with its shell)."""
    tail = [word.encode("utf-8", "surrogateescape") for word in argv]
    for name in sorted(os.listdir("/proc")):
        if name.isdigit() and int(name) != os.getpid():
            words = _read(f"/proc/{name}/cmdline").encode("utf-8", "surrogateescape").split(b"\0")
            if words[:-1][-len(tail) :] == tail and start_time(int(name)) is not None:
                return int(name)
    return None


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as stream:
            return stream.read()
    except OSError:
        return ""
