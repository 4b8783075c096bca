# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any, Dict

import pytest

from telechat_runtime.errors import PreflightError
from telechat_runtime.plan.node_facts import check_probes, node_facts, probe_request
from telechat_runtime.remote.answers.probe import Lease, ProbeAnswer
from telechat_runtime.typed_json import parse
from tests.support.clusters import node_probe, two_nodes

ANSWER: Dict[str, Any] = {
    "job_root": "/var/lib/telechat",
    "hostname": "node0",
    "resolves": True,
    "lease": {"job_id": "finetune-1", "owner": "ada@bastion", "since": "2026-11-23T10:00:00Z"},
    "paths": {"/data": "dir", "/missing": None},
    "port": {"wanted": 8118, "free": 8119, "peers": 8120},
    "tree": {"path": "/tree", "run_mindformer": True},
    "read": {"/tree/a.yaml": "a: 1\n"},
    "python": {"path": "/opt/ms/bin/python3", "version": "3.10.14"},
    "free_bytes": 1 << 40,
    "clock": 1.0,
    "chips": None,
    "service": None,
    "dataset": None,
    "checkpoint": None,
    "folders": {},
}


def test_request() -> None:
    node = two_nodes(telechat_tree="/tree/", telechat_job_root="~/jobs").master
    assert probe_request(node, paths=["/data"], port=8118, read=["/tree/a.yaml"]) == {
        "job_root": "~/jobs",
        "python": "python3",
        "tree": "/tree",
        "paths": ["/data"],
        "port": 8118,
        "read": ["/tree/a.yaml"],
        "chips": False,
    }


def test_answer() -> None:
    assert node_facts(parse(ProbeAnswer, ANSWER)) == node_probe(
        hostname="node0",
        lease=Lease("finetune-1", "ada@bastion", "2026-11-23T10:00:00Z"),
        paths=(("/data", "dir"), ("/missing", None)),
        free_port=8119,
        peers_port=8120,
        tree_has_entry=True,
        read=(("/tree/a.yaml", "a: 1\n"),),
    )


def test_all_problems_of_all_nodes_in_one_message() -> None:
    cluster = two_nodes(telechat_tree="/tree")
    probes = {
        "node0": node_probe(
            lease=Lease("finetune-1", "ada@bastion", "10:00"), python=None, free_port=None, tree_has_entry=True
        ),
        "node1": node_probe(paths=(("/data", None),), resolves=False, hostname="n1", free_bytes=5 << 20),
    }
    with pytest.raises(PreflightError) as caught:
        check_probes(cluster, probes, needs_port=True)
    assert caught.value.message.splitlines() == [
        "node0: busy: ada@bastion runs job finetune-1 on it since 10:00",
        "node0: no interpreter 'python3' (telechat_python)",
        "node0: port 8118 (telechat_master_port) and the ports after it are taken",
        "node1: /data does not exist",
        "node1: /tree (telechat_tree) has no run_mindformer.py",
        "node1: only 5 MiB free in /var/lib/telechat; a job needs at least 1024",
        "node1: its own host name 'n1' does not resolve; add it to /etc/hosts",
    ]
    assert caught.value.exit_code == 5


def test_healthy_nodes_pass() -> None:
    check_probes(two_nodes(), {"node0": node_probe(), "node1": node_probe(free_port=None)}, needs_port=True)
