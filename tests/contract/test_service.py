# SPDX-License-Identifier: Apache-2.0
"""Nodes taken out of service by one command, or by an upgrade, missed by all others: over SSH."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest
from ansible.module_utils import node_upgrade

from plugins.action import node_upgrade as action
from plugins.modules import node_upgrade as module
from telechat_runtime.ascend import service_file
from telechat_runtime.node import service
from tests.contract.test_job_over_ssh import Cluster, cluster

__all__ = ["cluster"]
ROOT = Path(__file__).parents[2]
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="PID namespaces need root")
CAMPAIGN = node_upgrade.Campaign("24.1.rc3-1", "lin@ops1", "24.1.rc3")


@needs_root
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


@needs_root
def test_nodes_shows_what_it_can(cluster: Cluster) -> None:
    (cluster.folder / "known_hosts").write_text(cluster.servers[0].known_hosts_line())
    done = cluster.run("nodes", "--json")
    assert done.returncode == 0
    services = [node["service"] for node in json.loads(done.stdout)["nodes"]]
    assert [service["in_service"] for service in services] == [True, False]
    assert "host key" in services[1]["error"]
    assert "SERVICE" not in cluster.run("nodes", "--offline").stdout


@needs_root
def test_a_node_that_is_not_there(cluster: Cluster) -> None:
    done = cluster.run("cordon", "node7", "--reason", "x")
    assert done.returncode == 3
    assert "no such node: node7" in done.stderr


@needs_root
def test_a_node_that_an_upgrade_is_at_work_on_takes_no_job_until_it_is_through(cluster: Cluster) -> None:
    node = node_upgrade.NodeUpgrade("/root1", str(cluster.folder))
    node.drain(CAMPAIGN, {}, take_over=False)
    refused = cluster.finetune()
    assert refused.returncode == 5
    assert "node1: out of service: upgrade to 24.1.rc3 (lin@ops1, since 2" in refused.stderr
    for word in ("cordon", "uncordon"):
        options = ("--reason", "x") if word == "cordon" else ()
        kept = cluster.run(word, "node1", *options)
        assert "out of service for another reason: upgrade to 24.1.rc3" in kept.stdout + kept.stderr
    node.finish(CAMPAIGN, service_file.FAILED, "no link")
    assert "node1: out of service: upgrade to 24.1.rc3 failed: no link" in cluster.finetune().stderr
    node.finish(CAMPAIGN, service_file.DONE)
    assert cluster.finetune().returncode == 0


def test_what_an_upgrade_writes_is_where_and_what_the_jobs_look_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "UPGRADE_RECORD", f"{tmp_path}{service.UPGRADE_RECORD}")
    node = node_upgrade.NodeUpgrade("/jobs", str(tmp_path))
    node.drain(CAMPAIGN, {}, take_over=False)
    found = service.look({"job_root": f"{tmp_path}/jobs"})
    assert (found["service"], found["upgrade"]) == (node.look()["service"], node.record())
    assert found["service"]["kind"] == "upgrade"


def test_the_playbooks_take_steps_that_the_module_has_and_the_record_knows_every_end() -> None:
    assert set(action._OUTCOMES) == set(module.ENDS)
    taken = {
        step
        for path in (ROOT / "roles").rglob("tasks/*.yml")
        for step in re.findall(r"^ *node_upgrade:\n +step: (\S+)$", path.read_text(), re.MULTILINE)
    }
    assert taken == set(module.STEPS)
