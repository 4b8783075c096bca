# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from typing import Any, Dict

import pytest
import yaml

from telechat_runtime.checkpoints.merge_lora import merged_file, plan_merge
from telechat_runtime.checkpoints.spec import MergeSpec
from telechat_runtime.errors import PreflightError
from telechat_runtime.interrupt import Interrupt
from telechat_runtime.job.options import JobOptions
from telechat_runtime.plan.plan import JobPlan
from tests.support.clusters import two_nodes
from tests.support.node_answers import checkpoint_answer
from tests.support.published_yaml import LORA_7B
from tests.support.scripted_transport import ScriptedTransport, clients
from tests.unit.telechat_runtime.checkpoints.test_convert import probe

JOB = "lora-20261124-000000-abcdef"
OUTPUT = f"/var/lib/telechat/jobs/{JOB}/work/output"


def left(rank: int, config: str = LORA_7B) -> Dict[str, Any]:
    ranks = list(range(rank * 8, rank * 8 + 8))
    return {
        "state": "SUCCEEDED",
        "config": config,
        "output": OUTPUT,
        "strategy": {f"ckpt_strategy_rank_{ranks[0]}.ckpt": "AA=="},
        "checkpoints": {"checkpoint": ranks, "checkpoint_network": ranks},
    }


class Site:
    def __init__(self, judgement: Dict[str, Any], config: str = LORA_7B) -> None:
        self.cluster = two_nodes()
        self.nodes = {
            f"node{rank}": ScriptedTransport(
                {"probe": probe, "checkpoint-info": judgement, "job-output": left(rank, config)}
            )
            for rank in range(2)
        }

    def prepare(self, **wishes: Any) -> JobPlan:
        reached = clients(self.cluster.nodes, self.nodes)
        options = JobOptions(job_name="merge-lora")
        return plan_merge(MergeSpec(**wishes), options, self.cluster, reached, interrupt=Interrupt())


def request_of(plan: JobPlan) -> Dict[str, Any]:
    return dict(json.loads(dict(plan.nodes[0].files)["request.json"]))


def test_a_run_of_the_guide_is_merged_by_what_it_says_of_itself() -> None:
    plan = Site(checkpoint_answer()).prepare(job=JOB)
    assert request_of(plan) == {
        "checkpoint": f"{OUTPUT}/checkpoint_network",
        "output": f"{OUTPUT}/merge_ckpt",
        "from_strategy": {"ckpt_strategy_rank_0.ckpt": "AA=="},
        "ranks_are_whole": False,
        "scaling": 2,
    }
    (node,) = plan.nodes
    assert (plan.kind, plan.world_size) == ("merge", 1)
    assert list(node.argv) == [
        "/opt/ms/bin/python3", "-m", "telechat_runtime.node.programs.checkpoints.merge_lora",
        f"{node.paths.work}/request.json",
    ]  # fmt: skip
    assert merged_file(plan) == f"{OUTPUT}/merge_ckpt/merged_lora.ckpt"


def test_a_checkpoint_with_its_own_strategy() -> None:
    site = Site(checkpoint_answer())
    plan = site.prepare(checkpoint="/c", strategy="/s", scaling=0.5, output="/o")
    assert request_of(plan) == {"checkpoint": "/c", "output": "/o", "from_strategy": "/s", "scaling": 0.5}
    assert site.nodes["node1"].commands() == []


def test_shards_that_lie_on_another_node_are_named_with_it() -> None:
    with pytest.raises(PreflightError) as caught:
        Site({"problem": "it lacks the files of rank 8"}).prepare(job=JOB)
    assert caught.value.message == "node0: it lacks the files of rank 8"
    assert caught.value.next_step == "node1 has rank 8, 9, 10, 11, 12, 13, 14, 15"


def test_a_run_with_the_default_of_only_trainable_params_is_refused_before_anything_is_read() -> None:
    document = yaml.safe_load(LORA_7B)
    del document["parallel"]["strategy_ckpt_config"]
    site = Site(checkpoint_answer(), yaml.safe_dump(document))
    with pytest.raises(PreflightError, match="only_trainable_params is not set, which means True"):
        site.prepare(job=JOB)
    assert site.nodes["node0"].commands() == ["job-output"]
