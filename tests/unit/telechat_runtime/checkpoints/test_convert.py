# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from typing import Any, Dict, Sequence

import pytest
import yaml

from telechat_runtime.checkpoints.convert import plan_conversion, plan_strategy, verified
from telechat_runtime.checkpoints.spec import ConvertSpec
from telechat_runtime.errors import PreflightError, SpecError
from telechat_runtime.finetune.spec import FinetuneSpec
from telechat_runtime.interrupt import Interrupt
from telechat_runtime.job.options import JobOptions
from telechat_runtime.plan.plan import JobPlan
from telechat_runtime.training.shipped import ConfigSource
from tests.support.clusters import two_nodes
from tests.support.node_answers import checkpoint_answer, probe_answer
from tests.support.published_yaml import PUBLISHED
from tests.support.scripted_transport import ScriptedTransport, clients

TREE = "/workspace/TeleChat2/mindformers"
TREE_YAML = f"{TREE}/research/telechat2/finetune_telechat_7b.yaml"
WEIGHTS = "/mnt/model/TeleChat2-7B_ms.ckpt"
STRATEGY_JOB = "convert-20261124-000000-abcdef"
FITS = checkpoint_answer()
LEFT = {"state": "SUCCEEDED", "config": "a: 1", "output": "/o", "checkpoints": {}}


def probe(request: Dict[str, Any]) -> Dict[str, Any]:
    return probe_answer(
        request,
        paths=dict.fromkeys(request["paths"], "file"),
        read={path: PUBLISHED["7b"] if path == TREE_YAML else None for path in request["read"]},
    )


class Site:
    """Two servers of eight NPUs with the TeleChat2 tree, as the guide has them."""

    def __init__(self, judgement: Dict[str, Any] = FITS, strategies: Sequence[Dict[str, str]] = ({}, {})) -> None:
        self.cluster = two_nodes(telechat_tree=TREE)
        self.nodes = {
            f"node{index}": ScriptedTransport(
                {"probe": probe, "checkpoint-info": judgement, "job-output": {**LEFT, "strategy": strategy}}
            )
            for index, strategy in enumerate(strategies)
        }
        self.clients = clients(self.cluster.nodes, self.nodes)
        self.options = JobOptions(job_name="convert")

    def prepare(self, **wishes: Any) -> JobPlan:
        spec = ConvertSpec(checkpoint=WEIGHTS, output="/out", **wishes)
        return plan_conversion(spec, self.options, self.cluster, self.clients, interrupt=Interrupt())

    def plan_strategy(self, training: FinetuneSpec, source: ConfigSource | None = None) -> JobPlan:
        spec = ConvertSpec(checkpoint=WEIGHTS, output="/out", to_layout=True)
        return plan_strategy(
            spec, training, self.options, self.cluster, self.clients, source=source, interrupt=Interrupt()
        )


def request_of(plan: JobPlan) -> Dict[str, Any]:
    return dict(json.loads(dict(plan.nodes[0].files)["request.json"]))


def test_the_guides_first_two_steps_as_one_job() -> None:
    """7B on two servers with dp 8, mp 2: the whole argv of both, and the whole change to the shipped yaml."""
    site = Site()
    plan = site.plan_strategy(FinetuneSpec(model="7b", dataset="/mnt/data", dp=8, mp=2, pp=1))
    assert (plan.kind, plan.world_size) == ("strategy", 16)
    for rank, node in enumerate(plan.nodes):
        assert list(node.argv) == [
            "msrun", "--worker_num=16", "--local_worker_num=8", "--master_addr=192.0.2.10", "--master_port=8118",
            f"--node_rank={rank}", f"--log_dir={node.paths.logs}", "--join=True", "--cluster_time_out=300",
            "--tail_worker_log=16", "python3", f"{TREE}/run_mindformer.py",
            "--config", f"{node.paths.work}/config.yaml",
            "--register_path", f"{TREE}/research/telechat2",
        ]  # fmt: skip
    assert [line for line in plan.config_diff.splitlines() if line.startswith(("+", "-"))] == [
        f"--- {TREE_YAML}",
        "+++ config.yaml",
        "-only_save_strategy: False",
        "+only_save_strategy: True",
        '-    dataset_dir: ""',
        '+    dataset_dir: "/mnt/data"',
        "+  strategy_ckpt_config:",
        "+    only_trainable_params: False",
        "-  model_parallel: 1",
        "+  model_parallel: 2",
        "+resume_training: False",
    ]
    assert site.nodes["node0"].commands() == ["checkpoint-info", "probe"]
    assert site.nodes["node0"].asked[0][1]["target_follows"] is True


def test_the_third_step_takes_the_strategies_of_all_nodes_to_rank_0() -> None:
    site = Site(strategies=[{"s_rank_0.ckpt": "AA=="}, {"s_rank_8.ckpt": "BB=="}])
    plan = site.prepare(to_job=STRATEGY_JOB, processes=2)
    assert request_of(plan) == {
        "checkpoint": WEIGHTS,
        "output": "/out",
        "processes": 2,
        "from_strategy": None,
        "to_strategy": {"s_rank_0.ckpt": "AA==", "s_rank_8.ckpt": "BB=="},
    }
    (node,) = plan.nodes
    assert (plan.kind, plan.world_size, node.node.name) == ("transform", 1, "node0")
    assert list(node.argv) == [
        "/opt/ms/bin/python3", "-m", "telechat_runtime.node.programs.checkpoints.convert",
        f"{node.paths.work}/request.json",
    ]  # fmt: skip
    assert [transport.commands() for transport in site.nodes.values()] == [
        ["job-output", "checkpoint-info", "probe"],
        ["job-output"],
    ]


def test_paths_of_strategies_go_to_the_node_as_they_are() -> None:
    request = request_of(Site().prepare(from_strategy="/old/strategy", to_strategy="/new/strategy"))
    assert (request["from_strategy"], request["to_strategy"]) == ("/old/strategy", "/new/strategy")


def test_what_the_node_says_against_it_is_told_before_anything_starts() -> None:
    site = Site({"problem": "/c lacks the files of rank 1"})
    with pytest.raises(PreflightError, match="node0: /c lacks the files of rank 1"):
        site.prepare(to_strategy="/s")
    with pytest.raises(PreflightError, match="node0: /c lacks the files of rank 1"):
        site.plan_strategy(FinetuneSpec(model="7b", dataset="/mnt/data"))
    assert "probe" not in site.nodes["node0"].commands()


def test_a_run_that_keeps_the_model_whole_needs_no_conversion() -> None:
    text = PUBLISHED["7b"].replace("parallel_mode: 1", "parallel_mode: 0")
    with pytest.raises(SpecError, match="would keep the model whole on every card"):
        Site().plan_strategy(FinetuneSpec(dataset="/d"), ConfigSource(name="mine.yaml", text=text))


def test_the_yaml_of_the_strategy_run_loads_no_weights() -> None:
    text = PUBLISHED["7b"].replace("load_checkpoint: ''", "load_checkpoint: /w.ckpt").replace(
        "auto_trans_ckpt: False", "auto_trans_ckpt: True"
    )  # fmt: skip
    plan = Site().plan_strategy(FinetuneSpec(dataset="/d", dp=16), ConfigSource(name="mine.yaml", text=text))
    values = yaml.safe_load(dict(plan.nodes[1].files)["config.yaml"])
    assert (values["load_checkpoint"], values["auto_trans_ckpt"]) == ("", False)


def test_a_result_is_compared_once_more() -> None:
    site = Site()
    plan = site.prepare(to_strategy="/s")
    assert verified(plan, site.cluster, site.clients) == {"result": "/out/TeleChat2-7B_ms", "ranks": 16}
    site.nodes["node0"].answers["checkpoint-info"] = {**FITS, "to_make": 3}
    with pytest.raises(PreflightError, match="/out/TeleChat2-7B_ms lacks 3 files; run it again"):
        verified(plan, site.cluster, site.clients)
