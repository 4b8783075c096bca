# SPDX-License-Identifier: Apache-2.0
"""Clusters and probes that the tests share: two nodes of eight NPUs, as the inventory's example has them."""

from __future__ import annotations

from typing import Any, Dict

from telechat_runtime.cluster.topology import Cluster, cluster_from_hostvars
from telechat_runtime.plan.node_facts import NodeProbe


def hostvars(**common: Any) -> Dict[str, Dict[str, Any]]:
    """Return the variables of node0 and node1."""
    return {
        f"node{index}": {"ansible_host": f"192.0.2.1{index}", "ascend_npu_count": 8, **common} for index in range(2)
    }


def two_nodes(**common: Any) -> Cluster:
    """Return the cluster of node0 and node1."""
    return cluster_from_hostvars("ascend", ["node0", "node1"], hostvars(**common))


def node_probe(**changes: Any) -> NodeProbe:
    """Return what a healthy, idle node answers."""
    values: Dict[str, Any] = {
        "job_root": "/var/lib/telechat",
        "hostname": "node",
        "resolves": True,
        "lease": None,
        "paths": (),
        "free_port": 8118,
        "peers_port": 8119,
        "tree_has_entry": False,
        "read": (),
        "python": "/opt/ms/bin/python3",
        "free_bytes": 1 << 40,
    }
    return NodeProbe(**{**values, **changes})
