# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from typing import Any

import pytest

from telechat_runtime.config import ConfigFacts, Overlay
from telechat_runtime.errors import SpecError
from telechat_runtime.plan import JobPlan, plan_job, shipped_configs
from telechat_runtime.probe import NodeProbe
from telechat_runtime.spec import JobSpec
from telechat_runtime.topology import Cluster
from tests.unit.telechat_runtime.clusters import node_probe, two_nodes

FACTS = ConfigFacts(
    model_name="telechat_7b", dataset="/data", checkpoint="", semi_auto_parallel=False, parallel_sizes=()
)


def make(cluster: Cluster, *, spec: JobSpec | None = None, probe: NodeProbe | None = None, **facts: Any) -> JobPlan:
    return plan_job(
        spec=spec or JobSpec(),
        cluster=cluster,
        probes={node.name: probe or node_probe() for node in cluster.nodes},
        job_id="finetune-1",
        owner="ada@bastion",
        config=Overlay(text="seed: 0\n", diff="-seed: 1\n+seed: 0"),
        facts=ConfigFacts(**{**vars(FACTS), **facts}),
        entry="print('entry')\n",
    )


def test_what_each_of_two_nodes_is_told() -> None:
    plan = make(two_nodes(telechat_env={"OBS_TOKEN": "s3cret"}, telechat_env_script="/usr/local/set_env.sh"))
    jobs = "/var/lib/telechat/jobs/finetune-1"
    assert [plan.start_request(node) for node in plan.nodes] == [
        {
            "job_id": "finetune-1",
            "owner": "ada@bastion",
            "kind": "finetune",
            "node_rank": rank,
            "node_count": 2,
            "first_rank": 8 * rank,
            "local_worker_num": 8,
            "job_root": "/var/lib/telechat",
            "argv": [
                "msrun",
                "--worker_num=16",
                "--local_worker_num=8",
                "--master_addr=192.0.2.10",
                "--master_port=8118",
                f"--node_rank={rank}",
                f"--log_dir={jobs}/logs",
                "--join=True",
                "--cluster_time_out=300",
                "--tail_worker_log=16",
                "python3",
                f"{jobs}/work/run_mindformer.py",
                "--config",
                f"{jobs}/work/config.yaml",
            ],
            "env": {
                "PYTHONUNBUFFERED": "1",
                "RANK_TABLE_FILE": None,
                "HCCL_IF_IP": f"192.0.2.1{rank}",
                "OBS_TOKEN": "s3cret",
            },
            "path": ["/opt/ms/bin"],
            "env_script": "/usr/local/set_env.sh",
            "files": {"config.yaml": "seed: 0\n", "run_mindformer.py": "print('entry')\n"},
            "output": "msrun.log",
            "grace_seconds": 10,
        }
        for rank in (0, 1)
    ]


def test_a_tree_brings_its_own_program() -> None:
    plan = make(two_nodes(telechat_tree="/tree"))
    request = plan.start_request(plan.nodes[0])
    assert request["argv"][request["argv"].index("python3") :] == [
        "python3",
        "/tree/run_mindformer.py",
        "--config",
        "/var/lib/telechat/jobs/finetune-1/work/config.yaml",
        "--register_path",
        "/tree/research/telechat2",
    ]
    assert request["env"]["PYTHONPATH"] == "/tree"
    assert request["files"] == {"config.yaml": "seed: 0\n"}


def test_one_worker_needs_no_msrun() -> None:
    plan = make(two_nodes().limited_to(["node1"]), spec=JobSpec(npus_per_node=1))
    request = plan.start_request(plan.nodes[0])
    folder = "/var/lib/telechat/jobs/finetune-1/work"
    assert request["argv"] == [
        "/opt/ms/bin/python3", f"{folder}/run_mindformer.py", "--config", f"{folder}/config.yaml",
    ]  # fmt: skip
    assert request["output"] == "worker_0.log"
    assert request["env"]["ASCEND_RT_VISIBLE_DEVICES"] == "0"
    assert plan.master_port is None


def test_a_variable_of_the_command_line_comes_before_that_of_the_inventory() -> None:
    spec = JobSpec(env=(("A", "mine"), ("PYTHONPATH", "/shim")))
    plan = make(two_nodes(telechat_env={"A": "theirs", "B": "b"}, telechat_tree="/tree"), spec=spec)
    env = dict(plan.nodes[1].env)
    assert (env["A"], env["B"], env["PYTHONPATH"]) == ("mine", "b", "/tree:/shim")


def test_the_free_port_of_rank_0_is_taken() -> None:
    plan = make(two_nodes(), probe=node_probe(free_port=8120))
    assert all("--master_port=8120" in node.argv for node in plan.nodes)


def test_the_last_stages_loss_counts() -> None:
    assert make(two_nodes()).metric_rank == 0
    assert make(two_nodes(), parallel_sizes=(("pipeline_stage", 2),)).metric_rank == 15


def test_an_ipv6_master_is_refused() -> None:
    with pytest.raises(SpecError, match="is IPv6"):
        make(two_nodes(ascend_node_addr="2001:db8::1"))


def test_rendering_shows_the_exact_command_and_no_secret() -> None:
    plan = make(two_nodes(telechat_env={"OBS_TOKEN": "s3cret"}))
    text = plan.as_text()
    assert "2 nodes x 8 workers = world size 16, master 192.0.2.10:8118" in text
    assert "node1: node rank 1, ranks 8-15" in text
    assert (
        "  command  env -u RANK_TABLE_FILE PYTHONUNBUFFERED=1 HCCL_IF_IP=192.0.2.11 OBS_TOKEN='********' "
        'PATH=/opt/ms/bin:"$PATH" msrun --worker_num=16 --local_worker_num=8 --master_addr=192.0.2.10 '
        "--master_port=8118 --node_rank=1 --log_dir=/var/lib/telechat/jobs/finetune-1/logs --join=True "
        "--cluster_time_out=300 --tail_worker_log=16 python3 /var/lib/telechat/jobs/finetune-1/work/run_mindformer.py "
        "--config /var/lib/telechat/jobs/finetune-1/work/config.yaml"
    ) in text.splitlines()
    assert "  start    docker exec -i telechat python3 /opt/telechat/telechat-run.pyz node start" in text
    assert "  +seed: 0" in text.splitlines()
    assert "s3cret" not in text + json.dumps(plan.as_dict())


def test_as_dict_has_the_commands_of_every_node() -> None:
    document = make(two_nodes()).as_dict()
    assert document["world_size"] == 16
    assert [node["name"] for node in document["nodes"]] == ["node0", "node1"]
    assert document["nodes"][1]["argv"][5] == "--node_rank=1"
    assert document["nodes"][1]["files"] == ["config.yaml", "run_mindformer.py"]


def test_where_a_tree_may_keep_a_models_yaml() -> None:
    assert shipped_configs("/tree", "7b") == [
        "/tree/research/telechat2/finetune_telechat_7b.yaml",
        "/tree/research/telechat2/telechat2-7b/finetune_telechat_7b.yaml",
    ]
    assert "/tree/research/telechat2/finetune_telechat_39b_a12b.yaml" in shipped_configs("/tree", "39b-a12b")
    with pytest.raises(ValueError, match="'8b' is no model"):
        shipped_configs("/tree", "8b")
