# SPDX-License-Identifier: Apache-2.0
"""`node status`: who holds the lease, and the jobs of this node."""

from __future__ import annotations

import os
from typing import Any, Callable, Dict, List

from telechat_runtime.errors import PreflightError
from telechat_runtime.job.failure import Failure, FailureKind, failure_data
from telechat_runtime.job.paths import JobPaths
from telechat_runtime.job.state import JobState
from telechat_runtime.node import service
from telechat_runtime.node.supervision import lease
from telechat_runtime.node.supervision.state import NodeJob, job_paths, read_state

_SHOWN = ("job_id", "kind", "owner", "started", "ended", "exit_code", "reason", "failed_rank", "cause")


def run(request: Dict[str, Any], out: Callable[[Dict[str, Any]], None]) -> int:
    """Write the lease and the jobs, the newest first."""
    out(look(request))
    return 0


def look(request: Dict[str, Any]) -> Dict[str, Any]:
    """Return the answer, as the node protocol has it."""
    paths = job_paths(request, "status")
    looked = lease.look(paths)
    answer: Dict[str, Any] = {
        "lease": looked.held,
        "service": service.out_of_service(paths),
        "jobs": [_shown(job) for job in _jobs(paths.job_root)],
    }
    if looked.stale:
        answer["stale_lease"] = looked.stale
    return answer


def _jobs(job_root: str) -> List[NodeJob]:
    try:
        names = os.listdir(os.path.join(job_root, "jobs"))
    except FileNotFoundError:
        return []
    jobs = []
    for name in names:
        try:
            jobs.append(read_state(JobPaths(job_root, name)))
        except PreflightError as error:
            # A folder that is being made, or was copied here by hand, has no state: it is no job of this node.
            if os.path.exists(JobPaths(job_root, name).state):
                jobs.append(
                    NodeJob(
                        job_id=name,
                        kind="",
                        owner="",
                        state=JobState.LOST,
                        started="",
                        reason=error.message,
                        failure=Failure(FailureKind.UNKNOWN),
                    )
                )
    return sorted(jobs, key=lambda job: (job.started, job.job_id), reverse=True)


def _shown(job: NodeJob) -> Dict[str, Any]:
    shown = {name: getattr(job, name) for name in _SHOWN}
    return {"state": str(job.state), **shown, "failure": failure_data(job.failure)}
