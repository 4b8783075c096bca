# SPDX-License-Identifier: Apache-2.0
"""Processes by identity: a pid counts only together with the time it started, as the kernel gives pids out again."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from typing import Dict, List, Optional

# Indexes into stat_fields().
STATE = 0
START = 19
ENDED = "ZX"


@dataclass(frozen=True)
class Identity:
    """A process for as long as it lives: `start` is in clock ticks since boot, field 22 of proc(5)'s stat."""

    pid: int
    start: int

    def as_dict(self) -> Dict[str, int]:
        """Return the identity as data."""
        return asdict(self)


def identify(pid: int) -> Optional[Identity]:
    """Return the identity of a living process; None when there is none, or only its zombie."""
    fields = stat_fields(pid)
    return None if fields is None or fields[STATE] in ENDED else Identity(pid=pid, start=int(fields[START]))


def is_alive(identity: Identity) -> bool:
    """Return whether that very process still runs."""
    return identify(identity.pid) == identity


def with_command(argv: List[str]) -> Optional[Identity]:
    """Return a running process whose command line ends with argv (a script's begins with its shell)."""
    tail = [os.fsencode(word) for word in argv]
    for name in sorted(os.listdir("/proc")):
        if name.isdigit() and int(name) != os.getpid() and _command_line(int(name))[-len(tail) :] == tail:
            found = identify(int(name))
            if found is not None:
                return found
    return None


def stat_fields(pid: int) -> Optional[List[str]]:
    """Return the fields of /proc/PID/stat from the third (state) on; the name before it may hold any character.

    None when there is no such process.
    """
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as stat:
            return stat.read().rpartition(")")[2].split() or None
    except OSError:
        return None


def _command_line(pid: int) -> List[bytes]:
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as stream:
            return stream.read().split(b"\0")[:-1]
    except OSError:
        return []
