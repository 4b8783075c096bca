# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any

import pytest

from telechat_runtime.errors import SpecError, UnreachableError
from telechat_runtime.interrupt import Interrupt
from telechat_runtime.job.state import JobState
from telechat_runtime.remote.answers.probe import Lease
from telechat_runtime.run.status import FleetStatus, choose_job, fleet_status, stop_job
from tests.support.clusters import two_nodes
from tests.support.node_answers import job_part as job
from tests.support.node_answers import status_answer as status_of
from tests.support.node_answers import stop_answer
from tests.support.scripted_transport import ScriptedTransport, clients

NODES = two_nodes().nodes
LEASE = {"job_id": "b", "owner": "ada@bastion", "since": "10:00"}


def ask(node0: Any, node1: Any) -> FleetStatus:
    transports = {"node0": ScriptedTransport({"status": node0}), "node1": ScriptedTransport({"status": node1})}
    return fleet_status(clients(NODES, transports), Interrupt())


def test_the_parts_of_a_job_are_put_together_the_newest_first() -> None:
    old = job("a", "SUCCEEDED", started="2026-11-22T10:00:00Z")
    status = ask(status_of(job("b", "RUNNING"), old, lease=LEASE), status_of(job("b", "FAILED")))
    assert [(found.job_id, found.is_active) for found in status.jobs()] == [("b", True), ("a", False)]
    assert status.job("b").states == {"node0": JobState.RUNNING, "node1": JobState.FAILED}
    assert status.holders() == {"node0": Lease(**LEASE)}


def test_a_node_without_an_answer_is_part_of_the_status() -> None:
    status = ask(status_of(), UnreachableError("node1: gone"))
    assert list(status.answers) == ["node0"]
    assert status.as_dict()["nodes"]["node1"] == {"lease": None, "error": "node1: gone"}
    with pytest.raises(UnreachableError, match="node1: gone"):
        status.job("a")


def test_an_unknown_job() -> None:
    with pytest.raises(SpecError, match="no node has a job 'x'"):
        ask(status_of(), status_of()).job("x")


def test_the_only_active_job_of_its_owner_needs_no_name() -> None:
    status = ask(
        status_of(job("a", "RUNNING"), job("c", "STOPPED")), status_of(job("b", "RUNNING", owner="bob@laptop"))
    )
    assert choose_job(status, None, "ada@bastion").job_id == "a"
    assert choose_job(status, "b", "ada@bastion").job_id == "b"
    with pytest.raises(SpecError, match=r"0 jobs of eve@x are active; active are: b \(bob@laptop\), a \(ada@bastion\)"):
        choose_job(status, None, "eve@x")


def test_stop_tells_what_ended_what_is_left_and_who_did_not_answer() -> None:
    transports = {
        "node0": ScriptedTransport(
            {
                "status": status_of(job("a", "RUNNING")),
                "stop": stop_answer(job_id="a", ended=[1], left=[2]),
            }
        ),
        "node1": ScriptedTransport({"status": status_of(job("a", "RUNNING")), "stop": UnreachableError("node1: gone")}),
    }
    found = clients(NODES, transports)
    result = stop_job("a", ["node0", "node1"], found, grace_seconds=3, by="ada@bastion", interrupt=Interrupt())
    assert result.left == (("node0", (2,)),)
    assert {name: str(error) for name, error in result.errors.items()} == {"node1": "node1: gone"}
    assert transports["node0"].asked[-1] == (
        "stop",
        {"job_root": "/var/lib/telechat", "grace_seconds": 3, "by": "ada@bastion"},
    )
