# SPDX-License-Identifier: Apache-2.0
"""A second process beside the supervisor: when that is killed, the job is ended here and the other nodes hear of it.

It holds the node's lease with the supervisor, so the node is taken until nothing of the job is left.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from typing import Any, Callable, Dict, Optional

from telechat_runtime.errors import PreflightError
from telechat_runtime.job.failure import Failure, FailureKind
from telechat_runtime.job.paths import JobPaths
from telechat_runtime.job.state import JobState
from telechat_runtime.node.supervision import stop_request
from telechat_runtime.node.supervision.lease import Lease
from telechat_runtime.node.supervision.peers import PeerGroup, Peers
from telechat_runtime.node.supervision.processes import end_job
from telechat_runtime.node.supervision.state import load_state, write_state

REASON = "its supervisor was killed"
_DISMISSED = b"."
# The others connect again within half a second of losing the supervisor's line.
_HEARD_SECONDS = 2.0


class Guard:
    """The guard of a supervisor, which made it; `dismiss` ends it before the supervisor ends as it should."""

    def __init__(self, pid: int, line: int) -> None:
        self._pid = pid
        self._line = line

    def dismiss(self) -> None:
        """Let the guard go, and wait until it has: it holds the lease too."""
        with contextlib.suppress(BrokenPipeError):
            os.write(self._line, _DISMISSED)
        os.close(self._line)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self._pid, 0)


def post(
    paths: JobPaths, request: Dict[str, Any], group: Optional[PeerGroup], held: Lease, log: Callable[[str], None]
) -> Guard:
    """Start the guard of the calling process, which holds the lease too; to be called before that has threads."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid:
        os.close(reader)
        return Guard(pid, writer)
    exit_code = 1
    try:
        os.close(writer)
        os.setsid()
        # Those that end the supervisor, or do not, are for the supervisor to judge.
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)
        if os.read(reader, 1) != _DISMISSED:
            _end_job(paths, group, held, float(request["grace_seconds"]), log)
        exit_code = 0
    finally:
        os._exit(exit_code)


def _end_job(
    paths: JobPaths, group: Optional[PeerGroup], held: Lease, grace_seconds: float, log: Callable[[str], None]
) -> None:
    # A supervisor that does not answer is killed by whoever wants to stop the job.
    is_asked = stop_request.is_noted(paths)
    state, reason = (JobState.STOPPED, stop_request.told(paths)) if is_asked else (JobState.FAILED, REASON)
    failure = Failure(FailureKind.STOPPED_BY_USER if is_asked else FailureKind.SUPERVISOR_LOST)
    log(f"{REASON}: the job ends as {state}")
    told_at = time.monotonic()
    peers = None
    if group is not None:
        with contextlib.suppress(PreflightError):
            peers = Peers(group)
            peers.announce(state, reason, failure)
    ended, left = end_job(paths.job_id, grace_seconds)
    log(f"ended {ended}, left {left}")
    job = load_state(paths)
    if not job.state.is_terminal:
        changes: Dict[str, Any] = {"ended_pids": tuple(ended), "left_pids": tuple(left), "processes": ()}
        write_state(paths, job.becoming(state, reason=reason, failure=failure, **changes))
    while left:
        _, left = end_job(paths.job_id, 0)
    held.give_back()
    if peers is not None:
        time.sleep(max(0.0, told_at + _HEARD_SECONDS - time.monotonic()))
        peers.close()
