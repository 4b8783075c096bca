# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest

from telechat_runtime.cluster.topology import Cluster
from telechat_runtime.errors import SpecError
from telechat_runtime.job.options import JobOptions
from telechat_runtime.plan.node_facts import NodeProbe
from telechat_runtime.plan.plan import JobPlan, plan_job
from telechat_runtime.plan.program import TREE, WORK, Entry, Processes, Program
from tests.support.clusters import node_probe, two_nodes

CONFIG = ("--config", f"{WORK}/config.yaml")
PROGRAM = Program(
    kind="finetune",
    own=Entry(words=(f"{WORK}/train.py", *CONFIG), files=(("train.py", "print('entry')\n"),)),
    tree=Entry(words=(f"{TREE}/train.py", *CONFIG, "--register_path", f"{TREE}/research")),
    files=(("config.yaml", "seed: 0\n"),),
    config_diff="-seed: 1\n+seed: 0",
)
OPTIONS = JobOptions(job_name="finetune")


def make(cluster: Cluster, *, options: JobOptions = OPTIONS, probe: NodeProbe | None = None, **changes: Any) -> JobPlan:
    return plan_job(
        program=dataclasses.replace(PROGRAM, **changes),
        options=options,
        cluster=cluster,
        probes={node.name: probe or node_probe() for node in cluster.nodes},
        job_id="finetune-1",
        owner="ada@bastion",
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
                f"{jobs}/work/train.py",
                "--config",
                f"{jobs}/work/config.yaml",
            ],
            "env": {
                "PYTHONUNBUFFERED": "1",
                "PYTHONFAULTHANDLER": "1",
                "ASCEND_PROCESS_LOG_PATH": f"{jobs}/logs/ascend",
                "RANK_TABLE_FILE": None,
                "HCCL_IF_IP": f"192.0.2.1{rank}",
                "OBS_TOKEN": "s3cret",
            },
            "path": ["/opt/ms/bin"],
            "env_script": "/usr/local/set_env.sh",
            "files": {"config.yaml": "seed: 0\n", "train.py": "print('entry')\n"},
            "output": "msrun.log",
            "grace_seconds": 10,
            "links": {},
            "options": OPTIONS.as_dict(),
            "peers": {
                "addr": "192.0.2.10",
                "port": 8119,
                "join_seconds": 300,
                "silence_seconds": 15,
                "names": ["node0", "node1"],
            },
        }
        for rank in (0, 1)
    ]


def test_a_tree_brings_its_own_program() -> None:
    plan = make(two_nodes(telechat_tree="/tree"))
    request = plan.start_request(plan.nodes[0])
    assert request["argv"][request["argv"].index("python3") :] == [
        "python3",
        "/tree/train.py",
        "--config",
        "/var/lib/telechat/jobs/finetune-1/work/config.yaml",
        "--register_path",
        "/tree/research",
    ]
    assert request["env"]["PYTHONPATH"] == "/tree"
    assert request["files"] == {"config.yaml": "seed: 0\n"}


def test_one_worker_needs_no_msrun() -> None:
    plan = make(two_nodes().limited_to(["node1"]), options=dataclasses.replace(OPTIONS, npus_per_node=1))
    request = plan.start_request(plan.nodes[0])
    folder = "/var/lib/telechat/jobs/finetune-1/work"
    assert request["argv"] == [
        "/opt/ms/bin/python3", f"{folder}/train.py", "--config", f"{folder}/config.yaml",
    ]  # fmt: skip
    assert request["output"] == "worker_0.log"
    assert request["env"]["ASCEND_RT_VISIBLE_DEVICES"] == "0"
    assert plan.master_port is None


def test_a_variable_of_the_command_line_comes_before_that_of_the_inventory() -> None:
    options = dataclasses.replace(OPTIONS, env=(("A", "mine"), ("PYTHONPATH", "/shim")))
    plan = make(two_nodes(telechat_env={"A": "theirs", "B": "b"}, telechat_tree="/tree"), options=options)
    env = dict(plan.nodes[1].env)
    assert (env["A"], env["B"], env["PYTHONPATH"]) == ("mine", "b", "/tree:/shim")


def test_the_free_port_of_rank_0_is_taken() -> None:
    plan = make(two_nodes(), probe=node_probe(free_port=8120))
    assert all("--master_port=8120" in node.argv for node in plan.nodes)


def test_the_last_stages_loss_counts() -> None:
    assert make(two_nodes()).metric_rank == 0
    assert make(two_nodes(), pipeline_stages=2).metric_rank == 15


def test_an_ipv6_master_is_refused() -> None:
    with pytest.raises(SpecError, match="is IPv6"):
        make(two_nodes(ascend_node_addr="2001:db8::1"))


def test_rendering_shows_the_exact_command_and_no_secret() -> None:
    plan = make(two_nodes(telechat_env={"OBS_TOKEN": "s3cret"}))
    text = plan.as_text()
    assert "2 nodes x 8 workers = world size 16, master 192.0.2.10:8118" in text
    assert "node1: node rank 1, ranks 8-15" in text
    assert (
        "  command  env -u RANK_TABLE_FILE PYTHONUNBUFFERED=1 PYTHONFAULTHANDLER=1 "
        "ASCEND_PROCESS_LOG_PATH=/var/lib/telechat/jobs/finetune-1/logs/ascend HCCL_IF_IP=192.0.2.11 "
        "OBS_TOKEN='********' "
        'PATH=/opt/ms/bin:"$PATH" msrun --worker_num=16 --local_worker_num=8 --master_addr=192.0.2.10 '
        "--master_port=8118 --node_rank=1 --log_dir=/var/lib/telechat/jobs/finetune-1/logs --join=True "
        "--cluster_time_out=300 --tail_worker_log=16 python3 /var/lib/telechat/jobs/finetune-1/work/train.py "
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
    assert document["nodes"][1]["files"] == ["config.yaml", "train.py"]


def test_a_program_of_one_process_takes_rank_0_alone() -> None:
    plan = make(two_nodes(), processes=Processes.RANK_0)
    request = plan.start_request(plan.nodes[0])
    assert [node.node.name for node in plan.nodes] == ["node0"]
    assert (request["node_count"], request["local_worker_num"], request["output"]) == (1, 1, "worker_0.log")
    assert request["argv"][0] == "/opt/ms/bin/python3"
    assert request["env"]["ASCEND_RT_VISIBLE_DEVICES"] == "0"


def test_a_process_on_each_node_knows_nothing_of_the_others() -> None:
    plan = make(two_nodes(), processes=Processes.EACH_NODE)
    assert plan.master_port is None
    assert [(node.argv[0], node.first_rank, node.output) for node in plan.nodes] == [
        ("/opt/ms/bin/python3", 0, "worker_0.log"),
        ("/opt/ms/bin/python3", 1, "worker_1.log"),
    ]
    assert all("HCCL_IF_IP" not in dict(node.env) for node in plan.nodes)


def test_the_inventorys_variable_comes_before_the_programs() -> None:
    plan = make(two_nodes(telechat_env={"A": "inventory"}), env=(("A", "program"), ("B", "program")))
    env = dict(plan.nodes[0].env)
    assert (env["A"], env["B"]) == ("inventory", "program")


def test_what_is_no_kind_of_job() -> None:
    with pytest.raises(ValueError, match="'pretrain' is no kind of job"):
        dataclasses.replace(PROGRAM, kind="pretrain")
