# SPDX-License-Identifier: Apache-2.0
"""The process that owns a job on its node: it runs msrun, sees each worker, and leaves none of them behind.

What it can rely on of msrun (MindSpore 2.4 to 2.7): with --join=True it returns non-zero after a worker failed; a
SIGTERM ends msrun alone and leaves the workers; a worker that fails is named by pid in msrun's own output.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from types import FrameType
from typing import Any, Callable, Dict, Optional

from telechat_runtime.job import JobPaths, JobState
from telechat_runtime.node import failure, processes
from telechat_runtime.node.processes import Identity, JobProcess, end_job, identify
from telechat_runtime.node.state import NodeJob, utc_now, write_state

HEARTBEAT_SECONDS = 2.0
_LOOK_SECONDS = 0.5
_POLL_SECONDS = 0.1
# msrun sees a failed worker within two seconds; older ones never see a later worker while an earlier one runs.
_MSRUN_NOTICES_SECONDS = 5.0


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
) -> int:
    """Run the job to its end; `started` is told msrun's start, or why it failed. Return 0 when the job succeeded."""
    job = replace(job, supervisor=identify(os.getpid()))
    output = os.path.join(paths.logs, request["output"])
    try:
        with open(output, "ab") as sink:
            msrun = subprocess.Popen(
                request["argv"],
                cwd=paths.work,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
    except OSError as error:
        reason = f"{request['argv'][0]} can't be started: {error.strerror or error}"
        write_state(paths, job.becoming(JobState.FAILED, reason=reason))
        started({"error": reason, "next_step": f"check telechat_python; PATH was {environment['PATH']}"})
        return 1
    watcher = _Watcher(paths, job.becoming(JobState.RUNNING), msrun, grace_seconds=float(request["grace_seconds"]))
    watcher.beat()
    started({"pid": os.getpid()})
    log(f"started {' '.join(request['argv'])}")
    return watcher.run()


class _Watcher:
    """The life of one job after its start."""

    def __init__(self, paths: JobPaths, job: NodeJob, msrun: subprocess.Popen[bytes], *, grace_seconds: float) -> None:
        self._paths = paths
        self._job = job
        self._msrun = msrun
        self._grace_seconds = grace_seconds
        self._seen: Dict[Identity, JobProcess] = {}
        self._stop_asked = False
        self._crashed: Optional[JobProcess] = None
        self._crashed_at = 0.0
        signal.signal(signal.SIGTERM, self._ask_stop)

    def beat(self) -> None:
        """Write the state with the time and the processes of now."""
        shown = tuple(process.as_dict() for process in self._seen.values())
        self._job = replace(self._job, heartbeat=time.time(), processes=shown)
        write_state(self._paths, self._job)

    def run(self) -> int:
        """Wait for the end, whoever brings it, and write the last state."""
        next_beat = next_look = 0.0
        while self._msrun.poll() is None and not self._stop_asked and not self._is_stuck_on_a_crash():
            now = time.monotonic()
            if now >= next_look:
                self._look()
                next_look = now + _LOOK_SECONDS
            if now >= next_beat:
                self.beat()
                next_beat = now + HEARTBEAT_SECONDS
            time.sleep(_POLL_SECONDS)
        self._finish()
        return 0 if self._job.state is JobState.SUCCEEDED else 1

    def _ask_stop(self, _number: int, _frame: Optional[FrameType]) -> None:
        self._stop_asked = True

    def _look(self) -> None:
        for process in processes.of_job(self._job.job_id):
            self._seen[process.identity] = process
        if self._crashed is not None:
            return
        for identity, process in self._seen.items():
            if process.rank is not None and processes.zombie_exit_code(identity):
                self._crashed, self._crashed_at = process, time.monotonic()
                return

    def _is_stuck_on_a_crash(self) -> bool:
        return self._crashed is not None and time.monotonic() - self._crashed_at > _MSRUN_NOTICES_SECONDS

    def _finish(self) -> None:
        stopped = self._stop_asked and self._msrun.poll() is None
        log("stopping" if stopped else f"msrun ended with {self._msrun.poll()}")
        ended, left = end_job(self._job.job_id, self._grace_seconds)
        exit_code = self._exit_code()
        changes: Dict[str, Any] = {"exit_code": exit_code, "ended_pids": tuple(ended), "left_pids": tuple(left)}
        if stopped:
            self._job = self._job.becoming(JobState.STOPPED, reason="stopped on request", **changes)
        elif exit_code == 0 and self._crashed is None:
            self._job = self._job.becoming(JobState.SUCCEEDED, **changes)
        else:
            ranks = {seen.identity.pid: seen.rank for seen in self._seen.values() if seen.rank is not None}
            found = failure.diagnose(self._paths, ranks, crashed=self._crashed.rank if self._crashed else None)
            reason = found.reason or f"msrun ended with exit code {exit_code}"
            self._job = self._job.becoming(JobState.FAILED, reason=reason, failed_rank=found.rank, **changes)
        self.beat()
        log(f"{self._job.state}: {self._job.reason or 'ok'}; ended {ended}, left {left}")

    def _exit_code(self) -> Optional[int]:
        try:
            return self._msrun.wait(timeout=_MSRUN_NOTICES_SECONDS)
        except subprocess.TimeoutExpired:
            return None
