# SPDX-License-Identifier: Apache-2.0
"""Nodes taken out of service by one command, missed by all others: over SSH."""

from __future__ import annotations

import json
import os

import pytest

from tests.contract.test_job_over_ssh import Cluster, cluster

__all__ = ["cluster"]
pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="PID namespaces need root")


def test_a_node_out_of_service_takes_no_job_until_it_is_put_in_again(cluster: Cluster) -> None:
    out = cluster.run("cordon", "node1", "--reason", "new fan")
    assert out.returncode == 0, out.stderr
    assert out.stdout.startswith("node1: out: new fan (")
    refused = cluster.finetune()
    assert refused.returncode == 5
    assert "node1: out of service: new fan (" in refused.stderr
    assert "node0" not in refused.stderr
    chosen = cluster.finetune("--nodes", "1", "--json")
    assert chosen.returncode == 0, chosen.stderr
    assert [node["name"] for node in json.loads(chosen.stdout)["nodes"]] == ["node0"]
    assert "left out: node1: out of service: new fan" in chosen.stderr
    shown = cluster.run("nodes").stdout.splitlines()
    assert shown[1].endswith("in service")
    assert "out: new fan (" in shown[2]
    assert cluster.finetune("--out-of-service").returncode == 0
    assert cluster.run("uncordon", "node1").stdout == "node1: in service\n"
    assert cluster.finetune().returncode == 0


def test_nodes_shows_what_it_can(cluster: Cluster) -> None:
    (cluster.folder / "known_hosts").write_text(cluster.servers[0].known_hosts_line())
    done = cluster.run("nodes", "--json")
    assert done.returncode == 0
    services = [node["service"] for node in json.loads(done.stdout)["nodes"]]
    assert [service["in_service"] for service in services] == [True, False]
    assert "host key" in services[1]["error"]
    assert "SERVICE" not in cluster.run("nodes", "--offline").stdout


def test_a_node_that_is_not_there(cluster: Cluster) -> None:
    done = cluster.run("cordon", "node7", "--reason", "x")
    assert done.returncode == 3
    assert "no such node: node7" in done.stderr
