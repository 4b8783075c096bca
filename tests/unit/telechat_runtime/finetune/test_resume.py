# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any, Dict, Sequence

import pytest

from telechat_runtime.errors import PreflightError, SpecError
from telechat_runtime.finetune import resume as module
from telechat_runtime.finetune.resume import ResumeWishes, chosen_job, plan_restart, plan_resume
from telechat_runtime.finetune.spec import FinetuneSpec
from telechat_runtime.interrupt import Interrupt
from telechat_runtime.plan.plan import JobPlan
from telechat_runtime.run.status import fleet_status
from tests.support.recorded_job import DATASET, JOB, RecordedJob

CUT = f"""\
load_checkpoint: ''
output_dir: ./output
use_parallel: True
parallel: {{parallel_mode: 1}}
train_dataset: {{data_loader: {{dataset_dir: {DATASET}}}}}
"""
WHOLE = CUT.replace("parallel_mode: 1", "parallel_mode: 0")
SAME = ResumeWishes(spec=FinetuneSpec(), options=lambda options: options)


@pytest.fixture(autouse=True)
def new_id(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "new_job_id", lambda _name: "finetune-2")


def saved(job: RecordedJob, name: str, ranks: Sequence[int], *numbers: int) -> None:
    """Let a node see checkpoints of these ranks and steps."""
    found: Dict[str, Any] = {
        str(rank): [
            {"file": f"a_rank_{rank}-1_{number}.ckpt", "epoch": 1, "step": number, "number": number, "problem": ""}
            for number in numbers
        ]
        for rank in ranks
    }
    job.transports[name].answers["saved-steps"] = {"folder": "/out/checkpoint" if found else None, "ranks": found}


def training(config: str = CUT, state: str = "FAILED") -> RecordedJob:
    """A job of two nodes with rank 0 on node1, whose latest complete checkpoint is that of step 4."""
    job = RecordedJob(state, config=config)
    saved(job, "node1", range(8), 3, 4, 5)
    saved(job, "node0", range(8, 16), 3, 4)
    return job


def resumed(job: RecordedJob, wishes: ResumeWishes = SAME) -> JobPlan:
    return plan_resume(JOB, wishes, job.cluster, job.clients, Interrupt())


def test_each_rank_resumes_where_it_ran_from_the_latest_complete_checkpoint() -> None:
    plan = resumed(training())
    assert [(node.node.name, node.node_rank, node.first_rank) for node in plan.nodes] == [
        ("node1", 0, 0),
        ("node0", 1, 8),
    ]
    assert plan.resumes == JOB
    assert "step 4 (epoch 1)" in plan.notes[0]
    links = [dict(node.links) for node in plan.nodes]
    assert [sorted(each) for each in links] == [
        sorted(f"resume/rank_{rank}/checkpoint_rank_{rank}-1_4.ckpt" for rank in ranks)
        for ranks in (range(8), range(8, 16))
    ]
    assert links[1]["resume/rank_8/checkpoint_rank_8-1_4.ckpt"] == "/out/checkpoint/rank_8/a_rank_8-1_4.ckpt"
    assert "+resume_training: checkpoint_rank_0-1_4.ckpt" in plan.config_diff.splitlines()


def test_a_cut_model_does_not_resume_on_another_number_of_workers() -> None:
    job = training()
    fewer = ResumeWishes(
        spec=FinetuneSpec(), options=lambda options: module.replace(options, nodes=1), chooses_nodes=True
    )
    with pytest.raises(SpecError, match="had 16 workers and this one has 8"):
        resumed(job, fewer)
    job = training(WHOLE)
    for name in job.transports:
        saved(job, name, range(16), 4)
    assert resumed(job, fewer).world_size == 8


def test_a_job_that_saved_nothing_is_restarted_and_not_resumed() -> None:
    job = training()
    for name in job.transports:
        saved(job, name, ())
    with pytest.raises(PreflightError, match="has saved no checkpoint to resume from"):
        resumed(job)
    plan = plan_restart(JOB, 1, job.cluster, job.clients, Interrupt())
    assert (plan.restarts, plan.resumes, [node.links for node in plan.nodes]) == (1, "", [(), ()])


def test_a_node_of_the_job_that_left_the_inventory() -> None:
    job = training()
    job.cluster = job.cluster.limited_to(["node1"])
    with pytest.raises(SpecError, match="node0 is not in the inventory") as caught:
        resumed(job)
    assert "--exclude" in caught.value.next_step


def test_the_latest_job_is_the_owners_newest_finetune_that_has_ended() -> None:
    status = fleet_status(training().clients, Interrupt())
    assert chosen_job(status, "latest", "ada@bastion").job_id == JOB
    with pytest.raises(SpecError, match="grace@bastion has no finetune on these nodes"):
        chosen_job(status, "latest", "grace@bastion")
    running = fleet_status(training(state="RUNNING").clients, Interrupt())
    with pytest.raises(PreflightError, match=f"job {JOB} still runs on node"):
        chosen_job(running, JOB, "ada@bastion")
