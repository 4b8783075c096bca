# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from typing import Any, Dict

import pytest

from telechat_runtime.cli import cordon as command
from telechat_runtime.errors import ExitCode, PreflightError, SpecError, UnreachableError
from telechat_runtime.fleet.service import look_at_service, set_service
from telechat_runtime.interrupt import Interrupt
from tests.support.clusters import two_nodes
from tests.support.scripted_cli import run, use_fleet
from tests.support.scripted_transport import ScriptedTransport, clients

IN_SERVICE: Dict[str, Any] = {"service": None, "upgrade": None}
SINCE = "2026-11-23T10:00:00Z"
NEW_FAN = {"kind": "maintenance", "reason": "new fan", "by": "ada@bastion", "since": SINCE}
UPGRADE = {"kind": "upgrade", "reason": "upgrade to 24.1", "by": "lin@ops1", "since": SINCE}
OUT_OF_REACH = UnreachableError("connection refused", node="node1", next_step="look at sshd")
REFUSED = PreflightError("it is out of service for another reason: upgrade to 24.1", node="node1")


class Fleet:
    """Two nodes in service; a node that is asked to leave is out for a new fan, unless its answer is replaced."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.cluster = two_nodes()
        self.transports = {node.name: ScriptedTransport({"service": self._answer}) for node in self.cluster.nodes}
        self.clients = clients(self.cluster.nodes, self.transports)
        use_fleet(monkeypatch, self.cluster, self.clients)
        monkeypatch.setattr(command, "whoami", lambda: "ada@bastion")

    def wishes(self) -> Dict[str, Any]:
        return {name: [request["set"] for _, request in transport.asked] for name, transport in self.transports.items()}

    @staticmethod
    def _answer(request: Dict[str, Any]) -> Dict[str, Any]:
        wish = request.get("set")
        return {**IN_SERVICE, "service": NEW_FAN} if wish and wish["out"] else IN_SERVICE


@pytest.fixture
def fleet(monkeypatch: pytest.MonkeyPatch) -> Fleet:
    return Fleet(monkeypatch)


def test_cordon_takes_only_the_named_node_out_and_tells_it_why_and_for_whom(fleet: Fleet) -> None:
    ended = run("cordon", "node1", "--reason", "new fan")
    assert ended == (0, f"node1: out: new fan (ada@bastion, since {SINCE})\n")
    wish = {"out": True, "kind": "maintenance", "reason": "new fan", "by": "ada@bastion"}
    assert fleet.wishes() == {"node0": [], "node1": [wish]}


def test_uncordon_puts_nodes_in_service(fleet: Fleet) -> None:
    assert run("uncordon", "node0", "node1") == (0, "node0: in service\nnode1: in service\n")
    assert [wish["out"] for wishes in fleet.wishes().values() for wish in wishes] == [False, False]


def test_an_unknown_name_changes_no_node(fleet: Fleet) -> None:
    ended = run("cordon", "node0", "node7", "node8", "--reason", "new fan")
    assert ended.exit_code == ExitCode.INVALID
    assert ended.text == "no such node: node7, node8\n  next: the cluster has node0, node1"
    with pytest.raises(SpecError, match="no such node: node7"):
        set_service(["node7"], fleet.cluster, fleet.clients, Interrupt(), out=False, reason="", by="ada@bastion")
    assert fleet.wishes() == {"node0": [], "node1": []}


@pytest.mark.parametrize(
    ("error", "exit_code"), [(OUT_OF_REACH, ExitCode.NODE_UNUSABLE), (REFUSED, ExitCode.PREFLIGHT)]
)
def test_a_node_that_fails_decides_the_exit_code_and_the_others_are_changed(
    fleet: Fleet, error: Any, exit_code: ExitCode
) -> None:
    fleet.transports["node1"].answers["service"] = error
    text = run("cordon", "node0", "node1", "--reason", "new fan")
    assert text.exit_code == exit_code
    assert text.text.splitlines()[:2] == [
        f"node0: out: new fan (ada@bastion, since {SINCE})",
        f"telechat-run: error: {error.message}",
    ]


def test_cordon_as_data(fleet: Fleet) -> None:
    fleet.transports["node1"].answers["service"] = OUT_OF_REACH
    ended = run("cordon", "node0", "node1", "--reason", "new fan", "--json")
    document, _ = json.JSONDecoder().raw_decode(ended.text)
    assert ended.exit_code == ExitCode.NODE_UNUSABLE
    assert document == {
        "node0": {"in_service": False, "service": NEW_FAN, "upgrade": None, "error": None},
        "node1": {"in_service": False, "service": None, "upgrade": None, "error": str(OUT_OF_REACH)},
    }


def test_nodes_shows_who_is_out_of_service_and_whom_it_does_not_reach(fleet: Fleet) -> None:
    fleet.transports["node0"].answers["service"] = {
        "service": UPGRADE,
        "upgrade": {"state": "draining", "release": "24.1"},
    }
    fleet.transports["node1"].answers["service"] = OUT_OF_REACH
    ended = run("nodes")
    assert ended.exit_code == 0  # a node out of reach is shown so
    head, *rows = ended.text.splitlines()
    assert [row[head.index("SERVICE") :] for row in rows] == [
        f"out: upgrade to 24.1, draining (lin@ops1, since {SINCE})",
        "unknown: connection refused",
    ]
    seen = look_at_service(fleet.clients, Interrupt())
    assert [service.is_in for service in seen.values()] == [False, False]
    assert seen["node0"].as_dict()["upgrade"] == {"state": "draining", "release": "24.1"}
    assert fleet.wishes() == {"node0": [None, None], "node1": [None, None]}


def test_what_an_upgrade_left_is_no_part_of_a_maintenance(fleet: Fleet) -> None:
    fleet.transports["node0"].answers["service"] = {"service": NEW_FAN, "upgrade": {"state": "failed"}}
    seen = look_at_service(fleet.clients, Interrupt())
    assert seen["node0"].as_text() == f"out: new fan (ada@bastion, since {SINCE})"
    assert seen["node1"].is_in
