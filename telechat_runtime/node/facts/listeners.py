# SPDX-License-Identifier: Apache-2.0
"""Who listens on a TCP port of this machine, by /proc (proc(5): net/tcp, PID/fd)."""

from __future__ import annotations

import os
from typing import Iterator, List, Set

from telechat_runtime.node.supervision.processes import command_of

_LISTEN = "0A"
_TABLES = ("/proc/net/tcp", "/proc/net/tcp6")
_UNKNOWN = "a process that is not in sight"


def on_port(port: int) -> List[str]:
    """Return pid and command of each process that listens there, or that one does which can't be seen."""
    inodes = set(_inodes(port))
    if not inodes:
        return []
    owners = sorted(_owners(inodes))
    return [f"{pid} {command_of(pid)}" for pid in owners] or [_UNKNOWN]


def _inodes(port: int) -> Iterator[str]:
    wanted = f":{port:04X}"
    for table in _TABLES:
        try:
            with open(table, encoding="ascii") as lines:
                rows = [line.split() for line in lines][1:]
        except OSError:
            continue
        yield from (row[9] for row in rows if row[1].endswith(wanted) and row[3] == _LISTEN)


def _owners(inodes: Set[str]) -> Iterator[int]:
    wanted = {f"socket:[{inode}]" for inode in inodes}
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            targets = {os.readlink(f"/proc/{name}/fd/{each}") for each in os.listdir(f"/proc/{name}/fd")}
        except OSError:
            continue
        if wanted & targets:
            yield int(name)
