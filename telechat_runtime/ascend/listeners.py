# SPDX-License-Identifier: Apache-2.0
"""Who listens on a TCP port of this machine, by /proc (proc(5): net/tcp, PID/fd)."""

from __future__ import annotations

import contextlib
import os
from typing import Iterator, List, Optional, Set

_LISTEN = "0A"


def on_port(port: int, root: str = "/") -> Optional[List[int]]:
    """Return the pids of the processes that listen there; none while they are out of sight, None without a listener."""
    inodes = set(_inodes(port, root))
    return sorted(_owners(inodes, root)) if inodes else None


def _inodes(port: int, root: str) -> Iterator[str]:
    for name in ("tcp", "tcp6"):
        try:
            with open(os.path.join(root, "proc/net", name), encoding="ascii") as stream:
                rows = [line.split() for line in stream][1:]
        except OSError:
            continue
        yield from (row[9] for row in rows if row[3] == _LISTEN and int(row[1].rpartition(":")[2], 16) == port)


def _owners(inodes: Set[str], root: str) -> Iterator[int]:
    sockets = {f"socket:[{inode}]" for inode in inodes}
    for name in os.listdir(os.path.join(root, "proc")):
        if name.isdigit() and sockets & _open_files(os.path.join(root, "proc", name, "fd")):
            yield int(name)


def _open_files(folder: str) -> Set[str]:
    found = set()
    # A process may close a file, or end, at any moment.
    with contextlib.suppress(OSError):
        for name in os.listdir(folder):
            with contextlib.suppress(FileNotFoundError):
                found.add(os.readlink(os.path.join(folder, name)))
    return found
