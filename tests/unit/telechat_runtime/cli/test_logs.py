# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import importlib
from typing import Any, Dict, Iterator, List, Tuple

import pytest

from telechat_runtime.errors import ExitCode, UnreachableError
from telechat_runtime.job.failure import Failure, FailureKind
from telechat_runtime.remote.transport import Result
from telechat_runtime.remote.watch import NodeBack, NodeEvent, NodeLost, NodeSilent
from tests.support.clusters import two_nodes
from tests.support.node_answers import job_part, status_answer
from tests.support.scripted_cli import run, use_fleet
from tests.support.scripted_transport import HANG, ScriptedTransport, clients, event_of, log, state

# `telechat_runtime.cli.logs` is the module, whatever name the command takes in its package.
command = importlib.import_module("telechat_runtime.cli.logs")
BEAT = {"event": "heartbeat"}


class Fleet:
    """Two nodes with one running job of ada; `watches` brings the same line and a heartbeat of each."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        cluster = two_nodes()
        self.transports = {
            node.name: ScriptedTransport({"status": status_answer(job_part())}, [log("a line", rank), BEAT, HANG])
            for rank, node in enumerate(cluster.nodes)
        }
        use_fleet(monkeypatch, cluster, clients(cluster.nodes, self.transports))
        monkeypatch.setattr(command, "whoami", lambda: "ada@bastion")

    def watched(self) -> Dict[str, List[Dict[str, Any]]]:
        return {
            name: [request for asked, request in transport.asked if asked == "watch"]
            for name, transport in self.transports.items()
        }


@pytest.fixture
def fleet(monkeypatch: pytest.MonkeyPatch) -> Fleet:
    return Fleet(monkeypatch)


def test_logs_of_the_only_job_of_mine_end_at_what_is_there_now(fleet: Fleet) -> None:
    ended = run("logs")
    assert ended.exit_code == 0
    assert sorted(ended.text.splitlines()) == ["[node0 rank0] a line", "[node1 rank1] a line"]
    assert all(stream.closed.is_set() for each in fleet.transports.values() for stream in each.streams)


def test_follow_goes_on_to_the_end_of_the_job_on_every_node(fleet: Fleet) -> None:
    for rank, transport in enumerate(fleet.transports.values()):
        transport.events = [log("one", rank), BEAT, log("two", rank), state("FAILED", 1, "rank 0: KeyError: a"), HANG]
    ended = run("logs", "finetune-1", "--follow")
    assert ended.exit_code == 0  # the logs were shown; how the job ended is for `attach` to say
    lines = ended.text.splitlines()
    assert [line for line in lines if "node0" in line] == ["[node0 rank0] one", "[node0 rank0] two"]
    assert [line for line in lines if "node1" in line] == ["[node1 rank1] one", "[node1 rank1] two"]


def test_a_log_that_is_no_workers_goes_by_its_name(fleet: Fleet) -> None:
    fleet.transports["node0"].events = [{**log("listening"), "log": "scheduler.log", "rank": None}, BEAT, HANG]
    assert "[node0 scheduler.log] listening" in run("logs").text.splitlines()


def test_ranks_tail_and_since_are_asked_of_every_node(fleet: Fleet) -> None:
    assert run("logs", "--rank", "0", "--rank", "9", "--tail", "2").exit_code == 0
    for requests in fleet.watched().values():
        (request,) = requests
        assert (request["ranks"], request["tail"], request["since"]) == ([0, 9], 2, None)


def test_a_job_that_nobody_knows_is_said_before_anything_is_watched(fleet: Fleet) -> None:
    ended = run("logs", "finetune-2")
    assert ended.exit_code == ExitCode.INVALID
    assert ended.text == "no node has a job 'finetune-2'\n  next: `telechat-run status` lists the jobs"
    assert fleet.watched() == {"node0": [], "node1": []}


def test_of_two_jobs_of_mine_neither_is_guessed(fleet: Fleet) -> None:
    fleet.transports["node1"].answers["status"] = status_answer(job_part("finetune-2"))
    ended = run("logs")
    assert ended.exit_code == ExitCode.INVALID
    assert "2 jobs of ada@bastion are active" in ended.text
    assert "next: name the job's id" in ended.text


def test_only_the_nodes_of_the_job_are_watched(fleet: Fleet) -> None:
    fleet.transports["node1"].answers["status"] = status_answer()
    assert run("logs").text == "[node0 rank0] a line\n"
    assert fleet.watched()["node1"] == []


def test_a_node_whose_container_stopped_ends_the_logs_with_4(fleet: Fleet) -> None:
    stopped = Result(1, "", "Error response from daemon: container 5f3a is not running")
    fleet.transports["node1"].events = [log("a line", 1), stopped]
    fleet.transports["node0"].events = [HANG]
    ended = run("logs")
    assert ended.exit_code == ExitCode.NODE_UNUSABLE
    assert ended.text.splitlines() == [
        "[node1 rank1] a line",
        "node1: the container 'telechat' is not running",
        "  next: run site.yml again, or `docker start telechat` on the node",
    ]
    assert all(stream.closed.is_set() for stream in fleet.transports["node0"].streams)


class ScriptedFleetWatch:
    """Yields events as a FleetWatch does, without its clocks; the script goes on after what would end the others."""

    script: Tuple[Tuple[str, NodeEvent], ...] = ()

    def __init__(self, open_watch: Dict[str, Any], **_patience: Any) -> None:
        self._left = set(open_watch)

    def follow(self, _interrupt: Any) -> Iterator[Tuple[str, NodeEvent]]:
        for event in self.script:
            if self._left:
                yield event

    def ended(self, name: str) -> None:
        self._left.discard(name)

    def close(self) -> None:
        """Nothing is held."""


def test_a_node_that_is_silent_for_a_while_is_said_and_its_logs_go_on(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert fleet.transports
    end = event_of(state("SUCCEEDED", 0))
    ScriptedFleetWatch.script = (
        ("node1", NodeSilent(15.0)),
        ("node0", event_of(log("one"))),
        ("node1", NodeBack()),
        ("node1", event_of(log("two", 1))),
        ("node0", end),
        ("node1", end),
    )
    monkeypatch.setattr(command, "FleetWatch", ScriptedFleetWatch)
    assert run("logs", "--follow") == (
        0,
        "node1: not heard for a while, looking for it\n[node0 rank0] one\nnode1: heard again\n[node1 rank1] two\n",
    )


@pytest.mark.parametrize("fault", [None, UnreachableError("what it says", node="node1")])
def test_a_lost_node_ends_the_logs_with_its_reason(fleet: Fleet, monkeypatch: pytest.MonkeyPatch, fault: Any) -> None:
    assert fleet.transports
    failure = Failure(FailureKind.NODE_LOST)
    ScriptedFleetWatch.script = (("node1", NodeLost("no sign of life for 600 s", failure, fault=fault)),)
    monkeypatch.setattr(command, "FleetWatch", ScriptedFleetWatch)
    ended = run("logs", "--follow")
    assert ended.exit_code == ExitCode.NODE_UNUSABLE
    assert ended.text == ("node1: what it says" if fault else "node1: no sign of life for 600 s")
