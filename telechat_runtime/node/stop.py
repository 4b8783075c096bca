# SPDX-License-Identifier: Apache-2.0
"""`node stop`: end all processes of a job on this node and prove that none is left."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from typing import Any, Callable, Dict, List, Set, Tuple

from telechat_runtime.ascend.processes import Identity, is_alive
from telechat_runtime.errors import PreflightError
from telechat_runtime.job.failure import Failure, FailureKind
from telechat_runtime.job.paths import JobPaths
from telechat_runtime.job.state import JobState
from telechat_runtime.node.supervision import lease
from telechat_runtime.node.supervision.processes import end_job, wait_gone
from telechat_runtime.node.supervision.state import NodeJob, job_paths, read_state, write_state
from telechat_runtime.node.supervision.stop_request import is_noted, note_request

DEFAULT_GRACE_SECONDS = 10.0
_POLL_SECONDS = 0.1
_NOTICE_SECONDS = 1.0
# After the grace the supervisor kills, and writes its last state.
_SUPERVISOR_SECONDS = 10.0


def run(request: Dict[str, Any], out: Callable[[Dict[str, Any]], None]) -> int:
    """Stop the job and answer which processes ended and which are left; a job that has ended already stays as it is."""
    paths = job_paths(request, request["job_id"])
    grace_seconds = float(request.get("grace_seconds", DEFAULT_GRACE_SECONDS))
    ended, left = _end(paths, grace_seconds, str(request.get("by") or ""))
    job = settle(paths, "its supervisor was gone; the rest was stopped on request")
    everyone = sorted({*job.ended_pids, *ended})
    out({**job.as_event(), "event": "stopped", "job_id": job.job_id, "ended": everyone, "left": left})
    return 0


def _end(paths: JobPaths, grace_seconds: float, by: str) -> Tuple[List[int], List[int]]:
    """End the job until nobody holds the node for it: only its start or its supervisor can start more of it."""
    ended: Set[int] = set()
    deadline = time.monotonic() + grace_seconds + _SUPERVISOR_SECONDS
    while True:
        job = read_state(paths)
        if not job.state.is_terminal and job.supervisor and is_alive(job.supervisor):
            if not is_noted(paths):
                note_request(paths, by)
            if _stop_supervisor(job.supervisor, job.job_id, grace_seconds):
                deadline = time.monotonic() + _SUPERVISOR_SECONDS  # its guard does what it should have done
        # The supervisor has cleaned up if it could: this is the proof, or the rest of the work when it was killed.
        now_ended, left = end_job(job.job_id, grace_seconds)
        ended.update(now_ended)
        # With processes left that KILL does not end, the supervisor keeps the node for good.
        if left or not lease.is_held(paths) or time.monotonic() >= deadline:
            return sorted(ended), left
        time.sleep(_POLL_SECONDS)


def _stop_supervisor(supervisor: Identity, job_id: str, grace_seconds: float) -> bool:
    """Let the supervisor end the job, and itself; tell whether it had to be killed."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(supervisor.pid, signal.SIGTERM)
    # Even without grace it must have seen the signal before its processes end, or it takes their end for a failure.
    if not wait_gone(supervisor, max(grace_seconds, _NOTICE_SECONDS)):
        end_job(job_id, 0)
        if not wait_gone(supervisor, _SUPERVISOR_SECONDS):
            with contextlib.suppress(ProcessLookupError):
                os.kill(supervisor.pid, signal.SIGKILL)
            return True
    return False


def settle(paths: JobPaths, reason: str) -> NodeJob:
    """Return the job's last state; one that lost its supervisor, and has ended now, becomes STOPPED for that reason."""
    job = read_state(paths)
    if job.state is not JobState.LOST:
        return job
    stored = NodeJob(**{**vars(job), "state": JobState.RUNNING})
    stopped = stored.becoming(JobState.STOPPED, reason=reason, failure=Failure(FailureKind.SUPERVISOR_LOST))
    try:
        write_state(paths, stopped)
        lease.clear(paths)
    except OSError as error:
        raise PreflightError(
            f"job {paths.job_id} is stopped, but its state can't be written: {error}", next_step="check its disk"
        ) from error
    return stopped
