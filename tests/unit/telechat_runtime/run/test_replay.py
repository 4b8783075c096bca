# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any, List

import pytest

from telechat_runtime.errors import SpecError, TelechatError
from telechat_runtime.interrupt import Interrupt
from telechat_runtime.plan.plan import JobPlan
from telechat_runtime.run import replay
from telechat_runtime.run.replay import plan_replay
from tests.support.clusters import two_nodes
from tests.support.node_answers import probe_answer
from tests.support.recorded_job import CONFIG, JOB, RecordedJob

NEW = "again-1"


@pytest.fixture(autouse=True)
def new_id(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replay, "new_job_id", lambda _name: NEW)


def replayed(job: RecordedJob) -> JobPlan:
    return plan_replay(JOB, "again", job.cluster, job.clients, Interrupt())


def test_the_same_commands_on_the_same_ranks_under_a_new_id() -> None:
    job = RecordedJob(hang_floor=900)
    plan = replayed(job)
    assert [(node.node.name, node.node_rank) for node in plan.nodes] == [("node1", 0), ("node0", 1)]
    for then, now in zip(job.plan.nodes, plan.nodes):
        assert now.argv == tuple(word.replace(JOB, NEW) for word in then.argv)
        assert dict(now.files) == {"config.yaml": CONFIG}
        request = plan.start_request(now)
        assert (request["node_rank"], request["peers"]["names"]) == (now.node_rank, ["node1", "node0"])
    assert plan.options.hang_floor == 900
    assert plan.notes == ()


def test_the_port_is_one_that_is_free_now() -> None:
    job = RecordedJob()
    busy = {"wanted": 8118, "free": 8200, "peers": 8201}
    job.transports["node1"].answers["probe"] = lambda request: probe_answer(
        request, **({"port": busy} if request["port"] else {})
    )
    plan = replayed(job)
    assert plan.master_port == 8200
    assert all("--master_port=8200" in node.argv for node in plan.nodes)


def test_data_that_has_changed_since_is_told() -> None:
    job = RecordedJob()
    job.dataset["sample"] = "cc"
    assert "node1: the dataset /data/rows is not what it was when the job began" in replayed(job).notes


def refusal(job: RecordedJob) -> TelechatError:
    with pytest.raises(SpecError) as caught:
        replayed(job)
    return caught.value


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"ascend_npu_count": 16}, "node0: npu_count was 8, is 16"),
        ({"telechat_device_target": "CPU"}, "telechat_device_target was Ascend, is CPU"),
    ],
)
def test_another_cluster_than_the_jobs(variables: Any, message: str) -> None:
    job = RecordedJob()
    job.cluster = two_nodes(**variables)
    error = refusal(job)
    assert message in error.message
    assert error.exit_code == 3


def test_a_node_that_is_gone_or_kept_no_plan() -> None:
    job = RecordedJob()
    job.cluster = job.cluster.limited_to(["node1"])
    assert "node0 is not in the inventory any more, or not in --limit" in refusal(job).message
    job = RecordedJob()
    job.transports["node0"].answers["record"] = {**job.record("node0"), "start": None}
    assert refusal(job).message == f"node0 has no plan.json of {JOB} any more: it can't be replayed"


@pytest.mark.parametrize("named", [["node1"], []])
def test_a_record_that_does_not_name_all_nodes_of_the_job(named: List[str]) -> None:
    job = RecordedJob()
    for name in ("node0", "node1"):
        answer = job.record(name)
        answer["record"]["nodes"] = [node for node in answer["record"]["nodes"] if node["name"] in named]
        job.transports[name].answers["record"] = answer
    assert "node0 has a part of the job that its record does not name" in refusal(job).message
