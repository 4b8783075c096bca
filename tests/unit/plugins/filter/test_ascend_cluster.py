# SPDX-License-Identifier: Apache-2.0

from plugins.filter.ascend_cluster import ascend_cluster


class HostVars(dict):
    """As Ansible's: an item is templated, raw_get is not."""

    def raw_get(self, host):
        return self[host]


def hostvars(*ranks):
    return HostVars({f"node{i}": {"ascend_node_rank": rank, "ascend_npu_count": 8} for i, rank in enumerate(ranks)})


def test_a_cluster_by_rank():
    found = ascend_cluster(["node0", "node1"], hostvars(1, 0), "ascend")
    assert found["problems"] == []
    assert [node["name"] for node in found["cluster"]["nodes"]] == ["node1", "node0"]


def test_what_breaks_the_contract():
    found = ascend_cluster(["node0", "node1"], hostvars(0, 0), "ascend")
    assert found["cluster"] is None
    assert len(found["problems"]) >= 1
    assert "ascend_node_rank" in " ".join(found["problems"])


def test_templates_are_seen_as_such():
    variables = hostvars(0)
    variables["node0"]["ascend_npu_count"] = "{{ count }}"
    (problem,) = ascend_cluster(["node0"], variables, "ascend")["problems"]
    assert "node0" in problem
    assert "ascend_npu_count" in problem
