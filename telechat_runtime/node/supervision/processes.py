# SPDX-License-Identifier: Apache-2.0
"""The processes of jobs, by identity, so that a reused pid is never touched.

msrun gives each worker a session of its own, so a job's processes share neither group nor session. What they share is
`TELECHAT_JOB_ID` in their environment, set once by the supervisor and inherited by all.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import time
from dataclasses import dataclass
from typing import Any, Dict, List, Mapping, Optional, Set, Tuple

from telechat_runtime.ascend.processes import ENDED, START, STATE, Identity, identify, is_alive, stat_fields

JOB_ID_VARIABLE = "TELECHAT_JOB_ID"
_POLL_SECONDS = 0.05
_COMMAND_LENGTH = 80
# KILL leaves no choice to a process, but one in uninterruptible sleep (a hung NPU call) dies only when that ends.
_KILL_WAIT_SECONDS = 5.0
_PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h


@dataclass(frozen=True)
class JobProcess:
    """One process of a job; `role` is its MS_ROLE, `rank` the RANK_ID of a worker and None for every other process."""

    identity: Identity
    pgid: int
    role: Optional[str]
    rank: Optional[int]

    def as_dict(self) -> Dict[str, Any]:
        """Return the process as data."""
        return {**self.identity.as_dict(), "pgid": self.pgid, "role": self.role, "rank": self.rank}


def wait_gone(identity: Identity, seconds: float) -> bool:
    """Wait until that very process runs no more; tell whether it came to that within the time."""
    deadline = time.monotonic() + seconds
    while is_alive(identity):
        if time.monotonic() >= deadline:
            return False
        time.sleep(_POLL_SECONDS)
    return True


def zombie_exit_code(identity: Identity) -> Optional[int]:
    """Return the wait status of a process that has ended but was not yet waited for; None in any other case.

    Older msrun waits for its workers one after the other, so a later one that crashed stays a zombie.
    """
    stat = stat_fields(identity.pid)
    if stat is None or stat[STATE] != "Z" or int(stat[START]) != identity.start:
        return None
    return os.waitstatus_to_exitcode(int(stat[49]))


def dead_session_leaders(parent: int) -> Dict[Identity, int]:
    """Return the children that led a session, have ended, and were not yet waited for, with their exit codes.

    Of those nothing but this is known any more: their environment went with them.
    """
    try:
        with open(f"/proc/{parent}/task/{parent}/children", encoding="ascii") as children:
            pids = [int(pid) for pid in children.read().split()]
    except OSError:
        return {}
    found = {}
    for pid in pids:
        stat = stat_fields(pid)
        if stat is not None and stat[STATE] == "Z" and int(stat[3]) == pid:
            found[Identity(pid=pid, start=int(stat[START]))] = os.waitstatus_to_exitcode(int(stat[49]))
    return found


def of_job(job_id: str) -> List[JobProcess]:
    """Return the living processes of a job: those that inherited its id, but for the caller itself."""
    found = []
    for name in os.listdir("/proc"):
        if not name.isdigit() or int(name) == os.getpid():
            continue
        environ = _environ(int(name))
        if environ.get(JOB_ID_VARIABLE) != job_id:
            continue
        stat = stat_fields(int(name))
        if stat is None or stat[STATE] in ENDED:
            continue
        identity = Identity(pid=int(name), start=int(stat[START]))
        found.append(_job_process(identity, pgid=int(stat[2]), environ=environ))
    return found


def command_of(pid: int) -> str:
    """Return the command line of a process, shortened; or nothing when it is gone."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            words = file.read().decode("utf-8", "replace").split("\0")
    except OSError:
        return ""
    text = " ".join(words).strip()
    return text if len(text) <= _COMMAND_LENGTH else f"{text[: _COMMAND_LENGTH - 1]}…"


def by_job() -> Dict[str, List[Identity]]:
    """Return the living processes of all jobs by the id that they inherited, but for the caller itself."""
    found: Dict[str, List[Identity]] = {}
    for name in os.listdir("/proc"):
        if not name.isdigit() or int(name) == os.getpid():
            continue
        job_id = _environ(int(name)).get(JOB_ID_VARIABLE)
        identity = identify(int(name)) if job_id else None
        if job_id and identity:
            found.setdefault(job_id, []).append(identity)
    return found


def end_job(job_id: str, grace_seconds: float) -> Tuple[List[int], List[int]]:
    """End every process of a job, TERM first and KILL after the grace; return the pids that ended and those left."""
    seen: Set[Identity] = set()
    groups: Set[int] = set()
    deadline = time.monotonic() + grace_seconds
    left = _signal_job(job_id, signal.SIGTERM, seen, groups)
    while left and time.monotonic() < deadline:
        time.sleep(_POLL_SECONDS)
        left = _left(job_id, seen, groups)
    # Again and again: a process may fork between the look and the signal.
    deadline = time.monotonic() + _KILL_WAIT_SECONDS
    while left and time.monotonic() < deadline:
        _signal_job(job_id, signal.SIGKILL, seen, groups)
        time.sleep(_POLL_SECONDS)
        left = _left(job_id, seen, groups)
    left_pids = sorted(identity.pid for identity in left)
    return sorted({identity.pid for identity in seen} - set(left_pids)), left_pids


def _signal_job(job_id: str, number: int, seen: Set[Identity], groups: Set[int]) -> Set[Identity]:
    """Send a signal to all that is left of a job, note who got it and their groups, and return them."""
    # A group is the job's when its leader is: a process may be in a stranger's group, or in the caller's own.
    groups.update(pgid for pgid in _groups(job_id) if _environ(pgid).get(JOB_ID_VARIABLE) == job_id)
    left = _left(job_id, seen, groups)
    seen.update(left)
    for identity in left:
        _signal(identity, number)
    return left


def _signal(identity: Identity, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        if is_alive(identity):
            os.kill(identity.pid, number)


def _groups(job_id: str) -> Set[int]:
    return {process.pgid for process in of_job(job_id)} - {os.getpgid(0)}


def _left(job_id: str, seen: Set[Identity], groups: Set[int]) -> Set[Identity]:
    """Return what still lives of a job.

    Not only who has the job's id: a member of its groups may have cleaned its environment, and one that is on its way
    out has none any more while it still holds the NPU.
    """
    left = {process.identity for process in of_job(job_id)}
    left.update(identity for identity in seen if is_alive(identity))
    for name in os.listdir("/proc"):
        stat = stat_fields(int(name)) if name.isdigit() else None
        if stat is not None and stat[STATE] not in ENDED and int(stat[2]) in groups:
            left.add(Identity(pid=int(name), start=int(stat[START])))
    return left


def _job_process(identity: Identity, *, pgid: int, environ: Mapping[str, str]) -> JobProcess:
    role = environ.get("MS_ROLE")
    rank = environ.get("RANK_ID", "")
    # What a worker forks inherits its variables; the worker itself is the one that leads the group msrun gave it.
    is_worker = role == "MS_WORKER" and rank.isdigit() and identity.pid == pgid
    return JobProcess(identity=identity, pgid=pgid, role=role, rank=int(rank) if is_worker else None)


def _environ(pid: int) -> Dict[str, str]:
    try:
        with open(f"/proc/{pid}/environ", "rb") as environ:
            words = environ.read().split(b"\0")
    except OSError:
        return {}
    pairs = (word.decode("utf-8", "replace").partition("=") for word in words if word)
    return {name: value for name, _, value in pairs}


def adopt_orphans() -> bool:
    """Make this process the new parent of its descendants' orphans; return whether the kernel agreed.

    A container's PID 1, which would get them otherwise, may wait for nobody.
    """
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    return bool(prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0)


def reap_orphans(own_child: int) -> None:
    """Let go of the adopted that have ended; `own_child` is waited for by whoever started it."""
    while True:
        try:
            ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return
        if ended is None or ended.si_pid == own_child:
            return
        os.waitpid(ended.si_pid, 0)
