# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import contextlib
import hashlib
import json
from pathlib import Path
from typing import Any, Callable, Dict, Iterator

import pytest
from click.testing import CliRunner, Result

from telechat_runtime.cli.main import cli
from telechat_runtime.cluster.topology import Cluster
from telechat_runtime.errors import UnreachableError
from telechat_runtime.local_folders import cache_folder
from telechat_runtime.remote.client import NodeClient
from telechat_runtime.zipapp import build
from tests.support.node_answers import examined, inside, server
from tests.support.scripted_transport import ScriptedTransport

Nodes = Callable[..., Result]


@pytest.fixture
def sha256(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("TELECHAT_CACHE", str(tmp_path / "cache"))
    path, checksum = build(cache_folder() / "runtime")
    assert hashlib.sha256(path.read_bytes()).hexdigest() == checksum
    return checksum


@pytest.fixture
def doctor(tmp_path: Path, sha256: str, monkeypatch: pytest.MonkeyPatch) -> Nodes:
    """Run doctor on `count` nodes that are healthy, but for those whose answer is given by name."""

    def run(*words: str, count: int = 2, **ill: Any) -> Result:
        names = [f"node{index}" for index in range(count)]
        inventory = tmp_path / "hosts.yml"
        inventory.write_text(json.dumps({"ascend": {"hosts": {name: {"ascend_npu_count": 8} for name in names}}}))
        same = inside(versions={"runtime": {"version": "0.1.0", "sha256": sha256}})
        healthy: Dict[str, Any] = {**same, **{name: part for name, part in server().items() if name != "versions"}}

        def answer(name: str) -> Callable[[Dict[str, Any]], Any]:
            def examine(request: Dict[str, Any]) -> Any:
                said = ill.get(name, healthy)
                if not isinstance(said, dict):
                    return said
                if "probe" not in request["sections"]:
                    said = {**said, "versions": ill.get(name, server())["versions"]}
                return examined(said, request)

            return examine

        @contextlib.contextmanager
        def fleet(cluster: Cluster) -> Iterator[Dict[str, NodeClient]]:
            transports = {node.name: ScriptedTransport({"examine": answer(node.name)}) for node in cluster.nodes}
            yield {node.name: NodeClient(node, transports[node.name]) for node in cluster.nodes}

        monkeypatch.setattr("telechat_runtime.cli.doctor.open_fleet", fleet)
        return CliRunner().invoke(cli, ["doctor", "-i", str(inventory), *words], catch_exceptions=False)

    return run


def test_a_healthy_fleet_is_one_line_a_check_and_exit_code_0(doctor: Nodes) -> None:
    result = doctor(count=3)
    assert result.exit_code == 0, result.output
    lines = result.output.splitlines()
    assert lines[0] == "ok        reachable  all 3 nodes: answers"
    assert "ok        chips      all 3 nodes: 8 chips OK" in lines
    assert len(lines) == 22
    assert {line[:10] for line in lines} == {"ok        "}


def test_warnings_end_with_1(doctor: Nodes) -> None:
    old = {"driver": "23.0.3", "firmware": "7.1.0.5.220", "firmware_release": "23.0.3"}
    ill: Dict[str, Any] = {**inside(), **server()}
    ill["versions"] = {**inside()["versions"], "versions": {**inside()["versions"]["versions"], **old}}
    board = {"driver": "23.0.3", "firmware": "7.1.0.5.220", "compatibility": "OK"}
    ill["chips"] = {**ill["chips"], "boards": [{"npu_id": 0, **board}]}
    result = doctor(node1=ill)
    assert result.exit_code == 1, result.output
    assert "warn      matrix     node1: works, not recommended: driver 23.0.3 is older than 24.1.rc3" in result.output
    assert "next: HDK 23.0.3 -> 24.1.rc3 (firmware 7.5.0.1.129)" in result.output
    assert "ok        matrix     node0: driver 24.1.rc3" in result.output


def test_a_node_that_gives_no_answer_ends_with_2_and_the_others_are_shown(doctor: Nodes) -> None:
    result = doctor(node0=UnreachableError("can't connect", next_step="is it up?", node="node0"))
    assert result.exit_code == 2
    lines = result.output.splitlines()
    assert lines[:3] == [
        "fail      reachable  node0: can't connect",
        "                     next: is it up?",
        "ok        reachable  node1: answers",
    ]
    assert "not seen  chips      node0: the node can't be reached" in lines
    assert "ok        chips      node1: 8 chips OK" in lines


def test_many_nodes_are_named_up_to_a_number(doctor: Nodes) -> None:
    gone = {f"node{index}": UnreachableError("can't connect", node=f"node{index}") for index in range(8)}
    result = doctor(count=20, **gone)
    assert "reachable  node0, node1, node2, node3, node4, node5 and 2 more: can't connect" in result.output


def test_as_data(doctor: Nodes) -> None:
    result = doctor("--json", node1=UnreachableError("can't connect", node="node1"))
    assert result.exit_code == 2
    document = json.loads(result.output)
    assert document["status"] == "fail"
    assert document["nodes"]["node0"]["chips"] == {"status": "ok", "detail": "8 chips OK", "next_step": ""}
    assert document["nodes"]["node1"]["reachable"]["status"] == "fail"
