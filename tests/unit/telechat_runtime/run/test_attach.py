# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any, Dict

import pytest

from telechat_runtime.errors import SpecError, UnreachableError
from telechat_runtime.interrupt import Interrupt
from telechat_runtime.plan.plan import JobPlan
from telechat_runtime.run.attach import recorded_plan
from telechat_runtime.run.status import fleet_status
from tests.support.recorded_job import JOB, RecordedJob


def attached(job: RecordedJob) -> JobPlan:
    status = fleet_status(job.clients, Interrupt())
    return recorded_plan(status.job(JOB), status, job.cluster, job.clients, Interrupt())


def test_the_nodes_keep_the_ranks_that_the_job_gave_them() -> None:
    job = RecordedJob("RUNNING")
    plan = attached(job)
    assert [(node.node.name, node.node_rank, node.first_rank) for node in plan.nodes] == [
        ("node1", 0, 0),
        ("node0", 1, 8),
    ]
    assert (plan.master_addr, plan.metric_rank) == (job.plan.master_addr, job.plan.metric_rank)
    assert [node.argv for node in plan.nodes] == [node.argv for node in job.plan.nodes]


def test_a_node_that_is_silent_or_has_no_record() -> None:
    job = RecordedJob("RUNNING")
    job.transports["node0"].answers["status"] = UnreachableError("node0: no route")
    with pytest.raises(UnreachableError, match="node0: no route"):
        attached(job)
    job = RecordedJob("RUNNING")
    job.transports["node0"].answers["record"] = {"record": None, "outcome": None, "config": None}
    with pytest.raises(SpecError, match=f"node0 of job {JOB} is not in the inventory, or has no record"):
        attached(job)


def test_a_record_that_does_not_name_all_nodes_of_the_job() -> None:
    job = RecordedJob("RUNNING")

    def record(_request: Dict[str, Any]) -> Dict[str, Any]:
        answer = job.record("node1")
        answer["record"]["nodes"] = [node for node in answer["record"]["nodes"] if node["name"] == "node1"]
        return answer

    job.transports["node1"].answers["record"] = record
    with pytest.raises(SpecError, match=f"node0 has a part of job {JOB}, but the job's record names node1 only"):
        attached(job)
