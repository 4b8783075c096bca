# SPDX-License-Identifier: Apache-2.0
"""Finds what dead jobs left running: processes whose environment names a job that nobody answers for."""

from __future__ import annotations

from typing import Any, Dict, List

from telechat_runtime.ascend.processes import is_alive
from telechat_runtime.errors import PreflightError
from telechat_runtime.job.paths import JOB_ID, JobPaths
from telechat_runtime.node.supervision import processes
from telechat_runtime.node.supervision.state import job_paths, read_state

_NO_FOLDER = "unknown"


def look(request: Dict[str, Any]) -> List[Dict[str, Any]]:
    """Return job id, state and process ids of each job that ended, was lost or is unknown, and yet has processes."""
    job_root = job_paths(request, "leftovers").job_root
    found = []
    for job_id, seen in sorted(processes.by_job().items()):
        state = _state(job_root, job_id)
        # What ended while its job did is no leftover.
        pids = [identity.pid for identity in seen if is_alive(identity)]
        if state in ("STARTING", "RUNNING") or not pids:
            continue
        found.append({"job_id": job_id, "state": state, "pids": sorted(pids)})
    return found


def _state(job_root: str, job_id: str) -> str:
    if not JOB_ID.fullmatch(job_id):
        return _NO_FOLDER
    try:
        return str(read_state(JobPaths(job_root, job_id)).state)
    except PreflightError:
        return _NO_FOLDER
