# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from telechat_runtime.errors import SpecError
from telechat_runtime.plan.msrun import check_master_addr, msrun_argv, python_name, worker_env


def test_argv() -> None:
    assert msrun_argv(
        world_size=16,
        local_worker_num=8,
        master_addr="192.0.2.10",
        master_port=8118,
        node_rank=1,
        log_dir="/jobs/x/logs",
        cluster_timeout=300,
        program=["python3", "run_mindformer.py", "--config", "config.yaml"],
    ) == [
        "msrun",
        "--worker_num=16",
        "--local_worker_num=8",
        "--master_addr=192.0.2.10",
        "--master_port=8118",
        "--node_rank=1",
        "--log_dir=/jobs/x/logs",
        "--join=True",
        "--cluster_time_out=300",
        "--tail_worker_log=16",
        "python3",
        "run_mindformer.py",
        "--config",
        "config.yaml",
    ]


@pytest.mark.parametrize(
    ("python", "name"),
    [("python3", "python3"), ("/opt/ms/bin/python", "python"), ("/usr/bin/python3.10", "python3")],
)
def test_msrun_starts_workers_by_a_name_on_path(python: str, name: str) -> None:
    assert python_name(python) == name


def test_an_ipv6_master_is_refused() -> None:
    with pytest.raises(SpecError, match=r"2001:db8::1 \(node0\) is IPv6"):
        check_master_addr("2001:db8::1", "node0")
    check_master_addr("node0.example", "node0")
    check_master_addr("192.0.2.1", "node0")


def env(**changes: object) -> dict[str, str | None]:
    values: dict[str, object] = {
        "device_target": "Ascend",
        "node_addr": "192.0.2.10",
        "npus": 8,
        "npu_count": 8,
        "world_size": 16,
        "tree": "",
        "shared_paths": (),
        "model_name": "telechat_7b",
        "log_dir": "/jobs/finetune-1/logs",
        "extra": {},
    }
    return worker_env(**{**values, **changes})  # type: ignore[arg-type]


def test_the_plain_environment_of_two_ascend_nodes() -> None:
    assert env() == {
        "PYTHONUNBUFFERED": "1",
        "PYTHONFAULTHANDLER": "1",
        "RANK_TABLE_FILE": None,
        "ASCEND_PROCESS_LOG_PATH": "/jobs/finetune-1/logs/ascend",
        "HCCL_IF_IP": "192.0.2.10",
    }


def test_one_node_needs_no_hccl_address_and_a_name_is_none() -> None:
    assert "HCCL_IF_IP" not in env(world_size=8)
    assert "HCCL_IF_IP" not in env(node_addr="node0.example")


def test_everything_the_guide_asks_for() -> None:
    assert env(
        npus=4,
        world_size=8,
        tree="/workspace/TeleChat2/mindformers",
        shared_paths=("/a", "/b"),
        model_name="telechat_115b",
        extra={"PYTHONPATH": "/shim", "GE_NOT_CUT": "0"},
    ) == {
        "PYTHONUNBUFFERED": "1",
        "PYTHONFAULTHANDLER": "1",
        "RANK_TABLE_FILE": None,
        "SHARED_PATHS": "/a,/b",
        "ENABLE_CELL_REUSE": "1",
        "MS_DEV_SIDE_EFFECT_LOAD_ELIM": "3",
        "MS_MEMORY_POOL_RECYCLE": "1",
        "GE_NOT_CUT": "0",
        "ASCEND_PROCESS_LOG_PATH": "/jobs/finetune-1/logs/ascend",
        "ASCEND_RT_VISIBLE_DEVICES": "0,1,2,3",
        "HCCL_IF_IP": "192.0.2.10",
        "PYTHONPATH": "/workspace/TeleChat2/mindformers:/shim",
    }


def test_a_cpu_gets_nothing_of_ascend() -> None:
    assert env(device_target="CPU", npus=1, model_name="telechat_115b") == {
        "PYTHONUNBUFFERED": "1",
        "PYTHONFAULTHANDLER": "1",
        "RANK_TABLE_FILE": None,
    }
