# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import os
import subprocess
from typing import Any, List

from telechat_runtime.node.facts import leftovers
from telechat_runtime.node.supervision.processes import JOB_ID_VARIABLE
from tests.support.local_node import LocalNode


def of(node: LocalNode, job_id: str) -> List[Any]:
    return [found for found in leftovers.look({"job_root": str(node.job_root)}) if found["job_id"] == job_id]


def test_a_running_job_leaves_nothing_and_what_outlives_one_is_found(node: LocalNode) -> None:
    job_id = node.start("sleep 60", workers=1)
    node.worker_pid(job_id, 0)
    assert of(node, job_id) == []
    node.stop(job_id)
    node.wait_for_end(job_id)
    survivor = subprocess.Popen(["sleep", "60"], env={**os.environ, JOB_ID_VARIABLE: job_id})
    try:
        assert of(node, job_id) == [{"job_id": job_id, "state": "STOPPED", "pids": [survivor.pid]}]
    finally:
        survivor.kill()
        survivor.wait()
    assert of(node, job_id) == []


def test_a_process_of_a_job_without_a_folder(node: LocalNode) -> None:
    job_id = f"gone-{os.getpid()}"
    survivor = subprocess.Popen(["sleep", "60"], env={**os.environ, JOB_ID_VARIABLE: job_id})
    try:
        assert of(node, job_id) == [{"job_id": job_id, "state": "unknown", "pids": [survivor.pid]}]
    finally:
        survivor.kill()
        survivor.wait()
