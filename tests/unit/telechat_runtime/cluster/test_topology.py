# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any, Dict, List

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telechat_runtime.cluster.topology import Cluster, cluster_from_hostvars
from telechat_runtime.errors import InventoryError, SpecError
from tests.support.clusters import hostvars, two_nodes

Vars = Dict[str, Dict[str, Any]]


def problems(variables: Vars) -> List[str]:
    with pytest.raises(InventoryError) as caught:
        cluster_from_hostvars("ascend", list(variables), variables)
    return list(caught.value.problems)


def with_ranks(*ranks: Any) -> Vars:
    variables: Vars = {}
    for index, rank in enumerate(ranks):
        variables[f"node{index}"] = {"ascend_npu_count": 8}
        if rank is not None:
            variables[f"node{index}"]["ascend_node_rank"] = rank
    return variables


def test_without_ranks_the_order_of_the_file_counts() -> None:
    cluster = cluster_from_hostvars(
        "ascend", ["zeta", "alpha"], {"alpha": {"ascend_npu_count": 8}, "zeta": {"ascend_npu_count": 8}}
    )
    assert [node.name for node in cluster.nodes] == ["zeta", "alpha"]
    assert cluster.master.name == "zeta"


@given(st.permutations(range(5)))
def test_ranks_put_the_nodes_in_order(ranks: List[int]) -> None:
    variables = with_ranks(*ranks)
    cluster = cluster_from_hostvars("ascend", list(variables), variables)
    assert [variables[node.name]["ascend_node_rank"] for node in cluster.nodes] == [0, 1, 2, 3, 4]
    assert [node["node_rank"] for node in cluster.as_dict()["nodes"]] == [0, 1, 2, 3, 4]


@given(st.permutations(range(5)), st.sets(st.integers(0, 4), min_size=1))
def test_a_limited_cluster_has_consecutive_ranks_in_the_same_order(ranks: List[int], kept: set[int]) -> None:
    variables = with_ranks(*ranks)
    cluster = cluster_from_hostvars("ascend", list(variables), variables)
    limited = cluster.limited_to(f"node{index}" for index in kept)
    assert [node["node_rank"] for node in limited.as_dict()["nodes"]] == list(range(len(kept)))
    expected = [node.name for node in cluster.nodes if node.name in {f"node{index}" for index in kept}]
    assert [node.name for node in limited.nodes] == expected


@given(st.lists(st.one_of(st.none(), st.integers(-2, 6)), min_size=1, max_size=5))
def test_ranks_are_accepted_exactly_when_they_are_complete(ranks: List[Any]) -> None:
    variables = with_ranks(*ranks)
    complete = sorted(rank for rank in ranks if rank is not None) == list(range(len(ranks)))
    if complete or all(rank is None for rank in ranks):
        assert len(cluster_from_hostvars("ascend", list(variables), variables).nodes) == len(ranks)
    else:
        assert problems(variables)


def test_duplicate_rank_names_both_hosts_and_the_missing_rank() -> None:
    assert problems(with_ranks(0, 0)) == [
        "ascend_node_rank 0 is given to node0 and node1; each rank belongs to one host",
        "no host has ascend_node_rank 1; 2 hosts have the ranks 0 to 1",
    ]


def test_mixed_ranks_name_the_hosts_without_one() -> None:
    assert problems(with_ranks(0, None, None)) == [
        "ascend_node_rank is missing for node1, node2; give it to all hosts of the group, or to none"
    ]


def test_rank_out_of_range() -> None:
    assert problems(with_ranks(0, 7)) == [
        "node1: ascend_node_rank is 7; it must be a whole number from 0 to 1",
    ]


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("ascend_npu_count", "{{ npus }}", "is the template '{{ npus }}'; telechat-run needs a literal"),
        ("telechat_env", {"A": ["{{ x }}"]}, "is the template '{{ x }}'"),
        ("ansible_host", "{% if a %}b{% endif %}", "is the template"),
        ("ascend_npu_count", 0, "is 0; it must be a whole number from 1 to 64"),
        ("ascend_npu_count", True, "is True; it must be a whole number"),
        ("ascend_npu_count", "eight", "is 'eight'; it must be a whole number"),
        ("ascend_npu_count", None, "is missing; it must be a whole number"),
        ("ansible_port", 70000, "is 70000; it must be a whole number from 1 to 65535"),
        ("telechat_master_port", 80, "is 80; it must be a whole number from 1024 to 65535"),
        ("ansible_connection", "docker", "is 'docker'; telechat-run knows ssh and local"),
        ("telechat_container_name", "a b", "is 'a b'; it must be a container's name"),
        ("telechat_job_root", "var/lib", "is 'var/lib'; it must be an absolute path, or ~/…"),
        ("telechat_job_root", "", "is empty; it must be an absolute path, or ~/…"),
        ("telechat_tree", "tree", "is 'tree'; it must be an absolute path or empty"),
        ("telechat_runtime_path", "", "is empty; that is for ansible_connection: local without a container only"),
        ("telechat_device_target", "GPU", "is 'GPU'; it must be Ascend or CPU"),
        ("telechat_env", ["A=1"], "is ['A=1']; it must be a dictionary"),
        ("telechat_env", {"1A": "x"}, "names '1A'"),
        ("telechat_env", {"A": True}, "gives A a bool; it must be text or a number (quote it)"),
        ("telechat_shared_paths", "/shared", "is '/shared'; it must be a list of folders"),
        ("telechat_shared_paths", ["a,b"], "has 'a,b'; each folder must be an absolute path without a comma"),
        ("ansible_become", "perhaps", "is 'perhaps'; it must be true or false"),
        ("ansible_host", {"__ansible_vault": "…"}, "is encrypted; give a vault option"),
        ("ansible_ssh_common_args", "-o ProxyCommand=nc", "has 'ProxyCommand', which telechat-run can't honour"),
        ("ansible_ssh_common_args", "-o 'x", "can't be split into words"),
        ("telechat_python", ["python3"], "is ['python3']; it must be one line of text"),
    ],
)
def test_a_bad_value_is_named_with_its_host_and_rule(variable: str, value: Any, message: str) -> None:
    variables = {"node0": {"ascend_npu_count": 8, variable: value}}
    (problem,) = problems(variables)
    assert problem.startswith(f"node0: {variable} {message}")


def test_all_problems_come_at_once() -> None:
    variables = hostvars(ascend_npu_count=0, ansible_port=0)
    assert len(problems(variables)) == 4


def test_what_a_cluster_has_in_common_must_not_differ() -> None:
    variables = hostvars()
    variables["node1"]["telechat_master_port"] = 9000
    assert problems(variables) == [
        "telechat_master_port differs: node0 8118, node1 9000; it must be the same for all hosts of the group"
    ]


def test_defaults_are_those_of_the_contract() -> None:
    node = two_nodes().master
    assert (node.addr, node.container, node.python) == ("192.0.2.10", "telechat", "python3")
    assert (node.runtime_path, node.job_root) == ("/opt/telechat/telechat-run.pyz", "/var/lib/telechat")
    assert (node.tree, node.env_script, node.env) == ("", "", ())
    cluster = two_nodes()
    assert (cluster.master_port, cluster.device_target, cluster.shared_paths) == (8118, "Ascend", ())


def test_text_of_digits_is_a_number_as_in_ini_inventories() -> None:
    cluster = cluster_from_hostvars("ascend", ["a"], {"a": {"ascend_npu_count": "8", "ansible_become": "yes"}})
    assert cluster.master.npu_count == 8
    assert cluster.master.connection.become


def test_unequal_npu_counts_are_refused_for_a_job() -> None:
    variables = hostvars()
    variables["node1"]["ascend_npu_count"] = 4
    cluster = cluster_from_hostvars("ascend", list(variables), variables)
    with pytest.raises(SpecError, match="unequal ascend_npu_count: node0 8, node1 4") as caught:
        cluster.workers_per_node()
    assert "--npus-per-node 4" in caught.value.next_step
    assert cluster.workers_per_node(4) == 4
    assert cluster.limited_to(["node0"]).workers_per_node() == 8


def test_more_npus_than_there_are() -> None:
    with pytest.raises(SpecError, match="--npus-per-node 9 is more than the nodes have: node0 has 8, node1 has 8"):
        two_nodes().workers_per_node(9)


def test_a_limit_that_leaves_nothing() -> None:
    with pytest.raises(InventoryError, match="--limit leaves no host of the group 'ascend'"):
        two_nodes().limited_to(["elsewhere"])


def test_as_dict_is_what_the_roles_write_on_a_node() -> None:
    assert two_nodes().as_dict() == {
        "group": "ascend",
        "master_addr": "192.0.2.10",
        "master_port": 8118,
        "device_target": "Ascend",
        "shared_paths": [],
        "nodes": [
            {
                "name": f"node{rank}",
                "node_rank": rank,
                "addr": f"192.0.2.1{rank}",
                "npu_count": 8,
                "container": "telechat",
                "job_root": "/var/lib/telechat",
            }
            for rank in (0, 1)
        ],
    }


def test_an_empty_group() -> None:
    with pytest.raises(InventoryError, match="the group 'ascend' has no hosts"):
        cluster_from_hostvars("ascend", [], {})


def test_this_machine_may_leave_interpreter_and_runtime_empty() -> None:
    variables = {
        "here": {
            "ansible_connection": "local",
            "ascend_npu_count": 1,
            "telechat_container_name": "",
            "telechat_runtime_path": "",
            "telechat_python": "",
        }
    }
    cluster: Cluster = cluster_from_hostvars("ascend", ["here"], variables)
    assert cluster.master.connection.kind == "local"
