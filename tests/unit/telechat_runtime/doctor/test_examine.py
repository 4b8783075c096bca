# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, Dict

import pytest

from telechat_runtime.doctor.checks import CHECKS
from telechat_runtime.doctor.examine import Examination, Group, examine
from telechat_runtime.doctor.facts import Finding, Status
from telechat_runtime.errors import PreflightError, UnreachableError
from telechat_runtime.interrupt import Interrupt
from telechat_runtime.remote.transport import Result
from tests.support.clusters import two_nodes
from tests.support.node_answers import examined, inside, npu, server
from tests.support.scripted_transport import ScriptedTransport, clients

JOBS = ["versions", "probe", "jobs", "devices", "leftovers"]
STOPPED = Result(1, "", "Error response from daemon: container 0a1b is not running")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TELECHAT_CACHE", str(tmp_path))
    return tmp_path


def answers(server_says: Any, inside_says: Any) -> ScriptedTransport:
    def answer(request: Dict[str, Any]) -> Any:
        said = inside_says if "probe" in request["sections"] or "shared_folders" in request["sections"] else server_says
        return examined(said or {}, request) if isinstance(said, dict) or said is None else said

    return ScriptedTransport({"examine": answer})


def look(node0: ScriptedTransport, node1: ScriptedTransport, **variables: Any) -> Examination:
    cluster = two_nodes(**variables)
    return examine(cluster, clients(cluster.nodes, {"node0": node0, "node1": node1}), Interrupt())


def test_each_node_is_asked_once_in_each_place() -> None:
    transports = [answers(server(), inside()) for _ in range(2)]
    look(*transports)
    for transport in transports:
        assert [request["sections"] for _, request in transport.asked] == [
            ["versions", "chips", "kernels", "hccn", "container", "service"],
            ["versions", "probe", "jobs", "devices", "leftovers"],
            ["pings"],
        ]


def test_a_node_without_a_container_is_asked_once() -> None:
    node0, node1 = (answers(None, {**server(), **inside()}) for _ in range(2))
    found = look(node0, node1, telechat_container_name="")
    assert node0.commands() == ["examine", "examine"]
    assert node0.asked[1][1]["sections"] == ["pings"]
    assert found.findings["node0"]["kernel"].status is Status.OK


def test_what_the_server_did_not_tell_is_asked_in_the_container() -> None:
    old = Result(1, "", "SyntaxError: invalid syntax")
    node0 = answers(old, {**inside(), "chips": server()["chips"]})
    found = look(node0, answers(server(), inside()))
    assert node0.asked[1][1]["sections"] == [*JOBS, "chips", "kernels", "hccn", "container", "service"]
    assert found.findings["node0"]["chips"].status is Status.OK
    assert found.findings["node0"]["kernel"].status is Status.NOT_SEEN


def test_an_unreachable_node_is_asked_once_and_the_others_are_examined() -> None:
    gone = ScriptedTransport({"examine": UnreachableError("can't connect", node="node0")})
    found = look(gone, answers(server(), inside()))
    assert gone.commands() == ["examine"]
    assert found.findings["node0"]["reachable"] == Finding(Status.FAIL, "can't connect")
    assert found.findings["node1"]["reachable"].status is Status.OK


def test_a_stopped_container_is_told_apart_from_its_server() -> None:
    found = look(answers(server(), STOPPED), answers(server(), inside()))
    assert found.findings["node0"]["container"].status is Status.FAIL
    assert found.findings["node0"]["chips"].status is Status.OK


def test_the_runtime_is_compared_with_the_sources_of_this_machine(cache: Path) -> None:
    transports = [answers(server(), inside()) for _ in range(2)]
    assert look(*transports).findings["node0"]["runtime"].status is Status.WARN
    (built,) = (cache / "runtime").iterdir()
    sha256 = hashlib.sha256(built.read_bytes()).hexdigest()
    same = inside(versions={"runtime": {"version": "0.1.0", "sha256": sha256}})
    assert look(answers(server(), same), transports[1]).findings["node0"]["runtime"].status is Status.OK


def test_a_cache_that_cannot_be_written_gets_a_message(cache: Path) -> None:
    (cache / "runtime").write_text("in the way")
    with pytest.raises(PreflightError, match="the node runtime can't be packed: ") as caught:
        look(answers(server(), inside()), answers(server(), inside()))
    assert "TELECHAT_CACHE" in caught.value.next_step


def findings(**changes: Finding) -> Dict[str, Finding]:
    return {check.name: changes.get(check.name, Finding(Status.OK, "fine")) for check in CHECKS}


def test_nodes_that_agree_are_one_group_and_the_worst_comes_first() -> None:
    ill = Finding(Status.FAIL, "7 chips")
    found = Examination(findings={"node0": findings(), "node1": findings(chips=ill), "node2": findings()})
    assert [group for group in found.groups() if group.check in ("chips", "hdk")] == [
        Group("chips", ill, ("node1",)),
        Group("chips", Finding(Status.OK, "fine"), ("node0", "node2")),
        Group("hdk", Finding(Status.OK, "fine"), ("node0", "node1", "node2")),
    ]


@pytest.mark.parametrize("status", list(Status))
def test_the_worst_finding_is_that_of_the_fleet(status: Status) -> None:
    found = Examination(findings={"node0": findings(), "node1": findings(chips=Finding(status, "x"))})
    assert found.worst is status
    assert found.as_dict()["status"] == str(status)
    assert found.as_dict()["nodes"]["node1"]["chips"] == {"status": str(status), "detail": "x", "next_step": ""}


def test_the_marker_is_put_by_the_master_looked_for_by_the_others_and_removed() -> None:
    said = {**inside(), "shared_folders": {"/shared": {"error": None, "found": True}}}
    node0, node1 = answers(server(), said), answers(server(), said)
    found = look(node0, node1, telechat_shared_paths=["/shared"])
    assert found.findings["node1"]["shared"] == Finding(Status.OK, "/shared shared and writable")
    orders = [
        [request["shared_folders"]["action"] for _, request in transport.asked if "shared_folders" in request]
        for transport in (node0, node1)
    ]
    assert orders == [["put", "remove"], ["find"]]


def test_a_lost_ping_fails_the_node_that_sent_it() -> None:
    def lossy(request: Dict[str, Any]) -> Any:
        return examined(inside() if "probe" in request["sections"] else server(), request, lost=(2,))

    found = look(ScriptedTransport({"examine": lossy}), answers(server(), inside()))
    assert found.findings["node0"]["hccn ping"].detail.startswith("8 of 64 pings are lost: NPU 2 -> node1 NPU 0")
    assert found.findings["node1"]["hccn ping"] == Finding(Status.OK, "64 pings came back")


def test_the_node_that_differs_from_the_others_is_the_one_that_is_named() -> None:
    ill = server(hccn={"devices": [npu(number, tls="1" if number == 1 else "0") for number in range(8)]})
    found = look(answers(server(), inside()), answers(ill, inside()))
    assert found.findings["node0"]["hccn tls"] == Finding(Status.OK, "off on every NPU")
    assert found.findings["node1"]["hccn tls"].status is Status.FAIL
