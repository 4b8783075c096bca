# SPDX-License-Identifier: Apache-2.0
"""The processes of a job as its supervisor sees them, and which of them failed first.

They are msrun's children, so their exit codes are msrun's to collect. Until it does, the kernel keeps them readable
(a zombie); after that msrun's own output names them.
"""

from __future__ import annotations

import signal
import time
from typing import Any, Container, Dict, Iterable, List, NamedTuple, Optional, Set, Tuple

from telechat_runtime.ascend.processes import Identity, is_alive
from telechat_runtime.job.paths import JobPaths
from telechat_runtime.node.supervision import failure, processes
from telechat_runtime.node.supervision.processes import JobProcess

SCHEDULER = "MS_SCHED"
# msrun complains of a worker in the same second in which it collects its exit code.
_MSRUN_COMPLAINS_SECONDS = 3.0


class Crash(NamedTuple):
    """A process that ended badly; a negative exit code is a signal's number, None one that msrun keeps to itself.

    `role` is msrun's MS_ROLE; None, and no rank, for a worker that was over before anybody looked.
    """

    role: Optional[str]
    rank: Optional[int]
    exit_code: Optional[int]


class _End(NamedTuple):
    exit_code: Optional[int]


def first_of(crashes: Iterable[Tuple[int, Crash]], *, named: Container[int]) -> Crash:
    """Return the crash that brought on the others, which were all noticed at once; `named` are the pids msrun names.

    msrun names the first worker that it sees fail, and then ends the other workers by SIGKILL. MindSpore ends a worker
    by SIGTERM when it has lost the scheduler or a rank. A scheduler takes up to 35 s to miss a worker: one that has
    ended as well was there first, unless a worker failed by itself.
    """

    def rank_as_cause(pid: int, crash: Crash) -> int:
        if crash.role == SCHEDULER:
            return 1
        if pid in named:
            return 2 if crash.exit_code == -signal.SIGTERM else 0
        return 4 if crash.exit_code == -signal.SIGKILL else 3

    return min(crashes, key=lambda pid_and_crash: rank_as_cause(*pid_and_crash))[1]


class Workers:
    """The workers and the scheduler that msrun starts on this node; `expected` is how many workers."""

    def __init__(self, paths: JobPaths, msrun: int, *, expected: int) -> None:
        self._paths = paths
        self._msrun = msrun
        self._expected = expected
        self._known: Dict[Identity, JobProcess] = {}
        self._others: Tuple[JobProcess, ...] = ()
        self._ended: Set[Identity] = set()
        self._vanished: Dict[Identity, float] = {}
        self.crash: Optional[Crash] = None

    @property
    def complete(self) -> bool:
        """Tell whether every worker has been seen."""
        return sum(1 for process in self._known.values() if process.rank is not None) >= self._expected

    def look(self) -> bool:
        """Search the whole machine for the job's processes; tell whether a worker or the scheduler is new."""
        found = processes.of_job(self._paths.job_id)
        before = len(self._known)
        has_scheduler = any(process.rank is None for process in self._known.values())
        for process in sorted(found, key=lambda process: process.identity.start):
            if process.rank is not None:
                self._known.setdefault(process.identity, process)
            elif process.role == SCHEDULER and not has_scheduler:
                # The first one: what the scheduler forks has its variables too.
                self._known[process.identity] = process
                has_scheduler = True
        self._others = tuple(process for process in found if process.identity not in self._known)
        return len(self._known) > before

    def poll(self) -> None:
        """Notice which of the known have ended since the last call, and keep the first that ended badly."""
        crashes: List[Tuple[int, Crash]] = []
        for identity, process in self._known.items():
            if identity in self._ended or is_alive(identity):
                continue
            end = self._end_of(identity)
            if end is None:
                continue
            self._ended.add(identity)
            if end.exit_code != 0:
                crashes.append((identity.pid, Crash(role=process.role, rank=process.rank, exit_code=end.exit_code)))
        if not self.complete:
            crashes += self._crashes_unseen()
        if crashes and self.crash is None:
            self.crash = first_of(crashes, named=failure.named_by_msrun(self._paths))

    def as_data(self) -> Tuple[Dict[str, Any], ...]:
        """Return the processes for the state file."""
        alive = [process for identity, process in self._known.items() if identity not in self._ended]
        return tuple(process.as_dict() for process in (*alive, *self._others))

    def _crashes_unseen(self) -> List[Tuple[int, Crash]]:
        dead = processes.dead_session_leaders(self._msrun)
        return [
            (identity.pid, Crash(role=None, rank=None, exit_code=exit_code))
            for identity, exit_code in dead.items()
            if exit_code != 0 and identity not in self._known
        ]

    def _end_of(self, identity: Identity) -> Optional[_End]:
        """Return how a process that lives no more has ended; None while nobody can tell yet."""
        exit_code = processes.zombie_exit_code(identity)
        if exit_code is not None:
            return _End(exit_code)
        named = failure.named_by_msrun(self._paths)
        if identity.pid in named:
            return _End(named[identity.pid])
        # msrun has collected its exit code, and logs nothing when that is 0.
        vanished = self._vanished.setdefault(identity, time.monotonic())
        return _End(0) if time.monotonic() - vanished > _MSRUN_COMPLAINS_SECONDS else None
