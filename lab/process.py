# SPDX-License-Identifier: Apache-2.0
"""Run commands, and know a process again although its pid may have been reused."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lab.errors import LabError
from lab.files import write_atomically

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

PROC = Path("/proc")
_START_TIME_FIELD = 22  # proc_pid_stat(5): clock ticks since boot
_FIRST_FIELD_AFTER_NAME = 3


@dataclass(frozen=True, kw_only=True)
class Identity:
    """A process for ever: pid, start time (clock ticks since boot) and the boot itself."""

    pid: int
    start: int
    boot: str

    def write(self, path: Path) -> None:
        """Record it."""
        write_atomically(path, json.dumps(asdict(self)) + "\n")


def start_time(stat: str) -> int:
    """Return the start time out of /proc/PID/stat; the name in it may hold spaces and brackets."""
    fields = stat.rpartition(")")[2].split()
    return int(fields[_START_TIME_FIELD - _FIRST_FIELD_AFTER_NAME])


def identify(pid: int, proc: Path = PROC) -> Identity | None:
    """Return who has this pid now, None for nobody (a zombie is nobody)."""
    try:
        stat = (proc / str(pid) / "stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    if stat.rpartition(")")[2].split()[0] == "Z":
        return None
    boot = (proc / "sys/kernel/random/boot_id").read_text().strip()
    return Identity(pid=pid, start=start_time(stat), boot=boot)


def recorded(path: Path) -> Identity | None:
    """Return the identity in a file, None where there is none or half of one."""
    try:
        return Identity(**json.loads(path.read_text()))
    except (FileNotFoundError, ValueError, TypeError):
        return None


def alive(path: Path) -> bool:
    """Tell whether the very process recorded in this file still lives."""
    identity = recorded(path)
    return identity is not None and identify(identity.pid) == identity


def kill(path: Path, *, timeout: float = 10.0) -> None:
    """Kill the process recorded in this file, wait for its end, remove the record; nothing if it is gone."""
    identity = recorded(path)
    if identity is not None:
        try:
            handle = os.pidfd_open(identity.pid)
        except ProcessLookupError:
            handle = None
        if handle is not None:
            try:
                # Compared after the handle was taken: from here on the pid cannot come to mean another process.
                if identify(identity.pid) == identity:
                    signal.pidfd_send_signal(handle, signal.SIGKILL)
                    if not select.select([handle], [], [], timeout)[0]:
                        raise LabError(f"process {identity.pid} did not end {timeout:g} s after SIGKILL: see /proc")
            finally:
                os.close(handle)
    path.unlink(missing_ok=True)


def guarded(argv: Sequence[str | Path]) -> list[str]:
    """Return the command so that it ends with the thread that starts it, even with a killed lab."""
    return ["setpriv", "--pdeathsig", "KILL", *(str(word) for word in argv)]


def contained(argv: Sequence[str | Path]) -> list[str]:
    """Return the command in namespaces of its own: its processes and mounts end with the lab, even a killed one."""
    return guarded(["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", *argv])


def run(
    argv: Sequence[str | Path],
    *,
    stdin: str | None = None,
    environment: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> str:
    """Run a command to its end and return its standard output.

    Raises LabError with the command, its exit code and the end of what it printed.
    """
    words = [str(word) for word in argv]
    try:
        done = subprocess.run(
            words,
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            text=True,
            check=False,
            env=None if environment is None else {**os.environ, **environment},
            cwd=cwd,
        )
    except FileNotFoundError as error:
        raise LabError(f"{words[0]} is not installed: `python3 -m lab requirements` lists the packages") from error
    if done.returncode:
        tail = "\n".join((done.stdout + done.stderr).strip().splitlines()[-20:])
        raise LabError(f"{' '.join(words)}\nended with {done.returncode}:\n{tail}")
    return done.stdout
