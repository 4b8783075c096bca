# SPDX-License-Identifier: Apache-2.0
"""The process that owns a job on its node: it runs msrun, sees each worker, and leaves none of them behind.

What it can rely on of msrun (MindSpore 2.4 to 2.7): with --join=True it returns non-zero after a worker failed, but on
the master only when the scheduler has noticed too (up to 35 s); a SIGTERM ends msrun alone and leaves the workers.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from typing import Any, Callable, Dict, NamedTuple, Optional

from telechat_runtime.ascend.processes import identify
from telechat_runtime.errors import PreflightError
from telechat_runtime.job.failure import Failure, FailureKind
from telechat_runtime.job.paths import JobPaths
from telechat_runtime.job.state import JobState
from telechat_runtime.node.supervision import guard, hang, stacks, stop_request
from telechat_runtime.node.supervision.disk_room import DiskRoom
from telechat_runtime.node.supervision.failure import Diagnosis, of_job, of_scheduler, of_worker
from telechat_runtime.node.supervision.lease import Lease
from telechat_runtime.node.supervision.peers import PeerEnd, PeerGroup, Peers, peer_group
from telechat_runtime.node.supervision.processes import adopt_orphans, end_job, reap_orphans
from telechat_runtime.node.supervision.state import NodeJob, utc_now, write_state
from telechat_runtime.node.supervision.stop_request import StopSignal
from telechat_runtime.node.supervision.workers import SCHEDULER, Crash, Workers

HEARTBEAT_SECONDS = 5.0
_POLL_SECONDS = 0.1
_CONDITION_LOOK_SECONDS = 1.0
# A look at all processes of the machine is not free: often until the workers are there, then for the record only.
_LOOK_SECONDS = 0.5
_RARE_LOOK_SECONDS = 10.0
# msrun looks at its workers once a second; after that it is not waited for.
_MSRUN_NOTICES_SECONDS = 1.5
_LAST_STATE_SECONDS = 60.0
_SINGLE_WORKER_LOG = re.compile(r"worker_(\d+)\.log")


def log(text: str) -> None:
    """Write a line into the supervisor's log, which is its stderr."""
    sys.stderr.write(f"{utc_now()} {text}\n")
    sys.stderr.flush()


def supervise(
    paths: JobPaths,
    job: NodeJob,
    request: Dict[str, Any],
    environment: Dict[str, str],
    started: Callable[[Dict[str, Any]], None],
    held: Lease,
) -> int:
    """Run the job to its end; `started` is told msrun's start, or why it failed. Return 0 when the job succeeded.

    The lease is held by the guard too, and given back once nothing of the job is left.
    """
    group = peer_group(request)
    guarded = guard.post(paths, request, group, held, log)
    try:
        return _supervise(paths, job, request, environment, started, held, group)
    finally:
        guarded.dismiss()


def _supervise(
    paths: JobPaths,
    job: NodeJob,
    request: Dict[str, Any],
    environment: Dict[str, str],
    started: Callable[[Dict[str, Any]], None],
    held: Lease,
    group: Optional[PeerGroup],
) -> int:
    stop = StopSignal()
    if not adopt_orphans():
        log("the kernel does not let this process adopt orphans; processes that end may stay as zombies")
    job = replace(job, supervisor=identify(os.getpid()))
    program = request["argv"][0]
    peers: Optional[Peers] = None
    try:
        write_state(paths, job)
        peers = Peers(group) if group else None
        msrun = _start_msrun(paths, request, environment)
    except (PreflightError, OSError, ValueError) as error:
        reason = f"{program} can't be started: {getattr(error, 'strerror', None) or error}"
        next_step = f"check telechat_python; PATH was {environment['PATH']}"
        if isinstance(error, PreflightError):
            reason, next_step = error.message, error.next_step
        end = job.becoming(JobState.FAILED, reason=reason, failure=start_failure(error))
        _write_last_state(paths, end, patience=0)
        started({"error": reason, "next_step": next_step})
        held.give_back()
        _part(peers, end)
        return 1
    log(f"started {' '.join(request['argv'])}")
    supervision = _Supervision(paths, job.becoming(JobState.RUNNING), request, msrun, stop, peers, environment["PATH"])
    supervision.beat()
    started({"pid": os.getpid()})
    state = supervision.run()
    # Nothing is left: another job may start while the other nodes hear the last words of this one.
    held.give_back()
    if peers is not None:
        peers.close()
    return 0 if state is JobState.SUCCEEDED else 1


def _start_msrun(paths: JobPaths, request: Dict[str, Any], environment: Dict[str, str]) -> subprocess.Popen[bytes]:
    with open(os.path.join(paths.logs, request["output"]), "ab") as output:
        return subprocess.Popen(
            request["argv"],
            cwd=paths.work,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def start_failure(error: Exception) -> Failure:
    """Return why a job could not be started, with the system's message if that is behind it."""
    system = error if isinstance(error, OSError) else error.__cause__
    return Failure(FailureKind.START_FAILED, error=str(system) if isinstance(system, OSError) else "")


def _part(peers: Optional[Peers], end: NodeJob) -> None:
    if peers is not None:
        peers.announce(end.state, end.reason, end.failure)
        peers.close()


def _write_last_state(paths: JobPaths, job: NodeJob, *, patience: float = _LAST_STATE_SECONDS) -> None:
    """Write the state that everybody waits for; on a full disk, for `patience` seconds again and again."""
    deadline = time.monotonic() + patience
    while True:
        try:
            write_state(paths, job)
        except OSError as error:
            log(f"the last state, {job.state}, can't be written: {error}")
            if time.monotonic() >= deadline:
                return
            time.sleep(1)
        else:
            return


def hold_node_for(job: NodeJob) -> None:
    """Keep the lease while processes of an ended job are left: KILL does not end one that hangs in the NPU's driver."""
    left = list(job.left_pids)
    while left:
        log(f"the node stays taken while {left} can't be ended")
        _, left = end_job(job.job_id, 0)


class _End(NamedTuple):
    """How the job ends on this node; it hung when it came to a stop here or on the node that made it end."""

    state: JobState
    reason: str
    failure: Optional[Failure] = None
    hung: bool = False


def _after_peer(end: PeerEnd, *, hung: bool = False) -> _End:
    # A lost node can no longer explain itself, so the nodes that follow it report the loss.
    kind = FailureKind.NODE_LOST if end.failure.kind is FailureKind.NODE_LOST else FailureKind.PEER
    return _End(JobState.STOPPED, end.text, Failure(kind, node=end.node), hung)


class _Supervision:
    """The life of one job after its start; `msrun` is the job itself when it has one process only."""

    def __init__(
        self,
        paths: JobPaths,
        job: NodeJob,
        request: Dict[str, Any],
        msrun: subprocess.Popen[bytes],
        stop: StopSignal,
        peers: Optional[Peers],
        search_path: str,
    ) -> None:
        self._paths = paths
        self._job = job
        self._msrun = msrun
        self._stop = stop
        self._peers = peers
        self._search_path = search_path
        options = request.get("options") or {}
        self._hang = hang.HangWatch(
            paths,
            int(request.get("first_rank", 0)),
            factor=float(options.get("hang_factor", 0)),
            floor_seconds=float(options.get("hang_floor", 0)),
        )
        self._hangs = ""
        self._disk = DiskRoom(paths.folder)
        self._grace_seconds = float(request["grace_seconds"])
        single = _SINGLE_WORKER_LOG.fullmatch(request["output"])
        self._single_rank = int(single[1]) if single else None
        self._workers = Workers(paths, msrun.pid, expected=0 if single else int(request.get("local_worker_num", 0)))
        self._crashed_at = 0.0

    def beat(self) -> None:
        """Write the state with the time and the processes of now; a full disk is no reason to give up the job."""
        self._job = replace(self._job, heartbeat=time.time(), processes=self._workers.as_data())
        try:
            write_state(self._paths, self._job)
        except OSError as error:
            log(f"the state can't be written: {error}")

    def run(self) -> JobState:
        """Wait for the end, whoever brings it; write and return the last state, when no process is left."""
        next_beat = next_look = next_condition_look = 0.0
        while self._msrun.poll() is None and not self._is_to_end():
            now = time.monotonic()
            is_new = False
            if now >= next_look:
                is_new = self._workers.look()
                next_look = now + (_RARE_LOOK_SECONDS if self._workers.complete else _LOOK_SECONDS)
            if now >= next_condition_look:
                self._hangs = self._hang.look()
                self._disk.look()
                next_condition_look = now + _CONDITION_LOOK_SECONDS
            if is_new or now >= next_beat:
                self.beat()
                next_beat = now + HEARTBEAT_SECONDS
            time.sleep(_POLL_SECONDS)
            self._workers.poll()
            reap_orphans(self._msrun.pid)
        self._finish()
        hold_node_for(self._job)
        return self._job.state

    def _is_to_end(self) -> bool:
        is_asked = self._stop.asked or bool(self._hangs)
        return is_asked or self._peer_end() is not None or self._is_stuck_on_a_crash()

    def _peer_end(self) -> Optional[PeerEnd]:
        return self._peers.end if self._peers is not None else None

    def _is_stuck_on_a_crash(self) -> bool:
        if self._workers.crash is None:
            return False
        self._crashed_at = self._crashed_at or time.monotonic()
        return time.monotonic() - self._crashed_at > _MSRUN_NOTICES_SECONDS

    def _finish(self) -> None:
        self._workers.poll()
        end = self._end()
        log(f"{end.state}: {end.reason or 'ok'}")
        if self._peers is not None:
            # Before anything is ended here: the others need not wait for the grace of this node's workers.
            self._peers.announce(end.state, end.reason, end.failure)
        if end.hung:
            # Of all nodes: the one that says so is not always the one that holds up the others.
            for line in stacks.collect(self._paths, self._search_path):
                log(line)
        ended, left = end_job(self._job.job_id, self._grace_seconds)
        exit_code = self._msrun.poll()
        reap_orphans(self._msrun.pid)
        self._job = self._job.becoming(
            end.state,
            reason=end.reason,
            failure=end.failure,
            exit_code=exit_code,
            ended_pids=tuple(ended),
            left_pids=tuple(left),
            heartbeat=time.time(),
            processes=(),
        )
        log(f"msrun ended with {exit_code}; ended {ended}, left {left}")
        _write_last_state(self._paths, self._job)

    def _end(self) -> _End:
        """Return what has ended the job here; the workers may still run."""
        exit_code, crash, peer_end = self._msrun.poll(), self._crash(), self._peer_end()
        if exit_code is None and crash is None:
            if self._stop.asked:
                return _End(JobState.STOPPED, stop_request.told(self._paths), Failure(FailureKind.STOPPED_BY_USER))
            if peer_end is not None:
                return _after_peer(peer_end, hung=peer_end.failure.kind is FailureKind.HANG)
            return _End(JobState.FAILED, self._hangs, Failure(FailureKind.HANG), hung=True)
        if exit_code == 0 and crash is None:
            return _End(JobState.SUCCEEDED, "")
        lost = self._lost_peer(crash)
        if lost is not None:
            return _after_peer(lost)
        failure, reason = self._diagnosis(exit_code)
        shortage = self._disk.shortage()
        if shortage:
            failure, reason = replace(failure, kind=FailureKind.DISK_FULL), f"{reason}; {shortage}"
        return _End(JobState.FAILED, reason, failure)

    def _lost_peer(self, crash: Optional[Crash]) -> Optional[PeerEnd]:
        """Return the node without which MindSpore has ended a worker here, by SIGTERM, before its silence counted."""
        if self._peers is None or crash is None or crash.exit_code != -signal.SIGTERM:
            return None
        return self._peers.silent() or self._peers.end

    def _crash(self) -> Optional[Crash]:
        """Return the first crash; a job of one process has no msrun between it and the supervisor."""
        exit_code = self._msrun.poll()
        if self._single_rank is not None and exit_code:
            return Crash(role=None, rank=self._single_rank, exit_code=exit_code)
        return self._workers.crash

    def _diagnosis(self, exit_code: Optional[int]) -> Diagnosis:
        crash = self._crash()
        if crash is not None and crash.rank is not None:
            return of_worker(self._paths, crash.rank, crash.exit_code)
        if crash is not None and crash.role == SCHEDULER:
            return of_scheduler(self._paths, crash.exit_code)
        return of_job(self._paths, exit_code)
