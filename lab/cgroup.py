# SPDX-License-Identifier: Apache-2.0
"""Control groups of a host: its processes are all in them, so they are how a hanging host is ended.

Two layouts: version 1 (a folder in every hierarchy) and version 2 (one folder, controllers enabled downward). Where
systemd is the machine's first process it owns the tree, and a host's supervisor is a unit with a delegated group
(lab.supervision), which is then the folder to work in.
"""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from lab.errors import LabError

ROOT = Path("/sys/fs/cgroup")


def hierarchies(root: Path = ROOT) -> list[Path]:
    """Return the root of every hierarchy: one in version 2, one for each controller in version 1."""
    if (root / "cgroup.procs").exists():
        return [root]
    return sorted({path.parent.resolve() for path in root.glob("*/cgroup.procs")})


@dataclass(frozen=True, kw_only=True)
class Group:
    """A group of the same path in every hierarchy."""

    path: str
    root: Path = ROOT

    def folders(self) -> list[Path]:
        """Return its folder in each hierarchy, existing or not."""
        return [hierarchy / self.path for hierarchy in hierarchies(self.root)]

    def enter(self, child: str) -> None:
        """Put the calling process into a child of this group, made when it is missing."""
        for hierarchy in hierarchies(self.root):
            _make(hierarchy, f"{self.path}/{child}")
            (hierarchy / self.path / child / "cgroup.procs").write_text(str(os.getpid()))
        for hierarchy in hierarchies(self.root):
            _enable_controllers(hierarchy, self.path)

    def members(self) -> set[int]:
        """Return the pids in this group and all below it."""
        pids: set[int] = set()
        for folder in self.folders():
            for path in folder.rglob("cgroup.procs"):
                with suppress(FileNotFoundError, OSError):
                    pids.update(int(line) for line in path.read_text().split())
        # 0 stands for a process of another pid namespace: it cannot be one of ours.
        return pids - {0}

    def kill(self, *, timeout: float = 20.0) -> None:
        """Kill every member until none is left; all stop at one moment, so that none sees another one's end.

        Raises LabError when some survive (uninterruptible sleep).
        """
        deadline = time.monotonic() + timeout
        while pids := self.members():
            for number in (signal.SIGSTOP, signal.SIGKILL):
                for pid in pids:
                    with suppress(ProcessLookupError):
                        os.kill(pid, number)
            if time.monotonic() > deadline:
                raise LabError(f"processes {sorted(pids)} survive SIGKILL: look at /proc/PID/stack, then try again")
            time.sleep(0.02)

    def remove(self) -> None:
        """Remove the emptied group from every hierarchy."""
        for folder in self.folders():
            for path in sorted((p for p in folder.rglob("*") if p.is_dir()), reverse=True):
                path.rmdir()
            if folder.is_dir():
                folder.rmdir()


def _make(hierarchy: Path, path: str) -> None:
    """Make a group and its ancestors; a new cpuset takes no process before it has CPUs and memory nodes."""
    folder = hierarchy
    for part in Path(path).parts:
        parent, folder = folder, folder / part
        folder.mkdir(exist_ok=True)
        for name in ("cpuset.cpus", "cpuset.mems"):
            # In version 2 an empty cpuset means the parent's.
            if (parent / "cgroup.subtree_control").exists() or not (folder / name).exists():
                continue
            if not (folder / name).read_text().strip():
                (folder / name).write_text((parent / name).read_text())


def _enable_controllers(hierarchy: Path, path: str) -> None:
    """Hand all controllers of version 2 down to the children of every group on the way."""
    folder = hierarchy
    for part in ("", *Path(path).parts):
        folder = folder / part
        control = folder / "cgroup.subtree_control"
        if control.exists():
            available = (folder / "cgroup.controllers").read_text().split()
            if available:
                control.write_text(" ".join(f"+{name}" for name in available))
