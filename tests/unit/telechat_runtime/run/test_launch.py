# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import threading
from typing import Any, Callable, Dict, List

import pytest

from telechat_runtime.errors import UnreachableError
from telechat_runtime.fanout import FleetError
from telechat_runtime.interrupt import Interrupt
from telechat_runtime.job.events import Event, LogLine, Notice
from telechat_runtime.job.options import JobOptions
from telechat_runtime.job.report import Report
from telechat_runtime.job.state import JobState
from telechat_runtime.plan.plan import plan_job
from telechat_runtime.plan.program import WORK, Entry, Processes, Program
from telechat_runtime.run import monitor
from telechat_runtime.run.launch import launch
from tests.support.clusters import node_probe, two_nodes
from tests.support.node_answers import stop_answer
from tests.support.scripted_transport import HANG, ScriptedTransport, clients, log, state

CLUSTER = two_nodes()
STEP = "{ Epoch:[  1/  1], step:[    %d/    2], loss:[%s/7.6], per_step_time: 91ms, lr: 0.001, overflow cond: False"
SPEED = "  50.0% |██  | 0.25 samples/s/p  0:03:21 }"


def node(*events: Any, **answers: Any) -> ScriptedTransport:
    return ScriptedTransport(
        {
            "start": {"job_id": "finetune-1", "state": "RUNNING", "supervisor_pid": 1},
            "stop": stop_answer(reason=""),
            **answers,
        },
        events,
    )


class Fleet:
    """Two scripted nodes, a plan for them, and a record of what was told."""

    def __init__(self, node0: ScriptedTransport, node1: ScriptedTransport) -> None:
        self.nodes: Dict[str, ScriptedTransport] = {"node0": node0, "node1": node1}
        self.interrupt = Interrupt()
        self.told: List[Event] = []
        self.on_notice: Callable[[], None] = lambda: None

    def observe(self, event: Event) -> None:
        self.told.append(event)
        if isinstance(event, Notice):
            self.on_notice()

    def launch(
        self, *, all_ranks: bool = False, heartbeat_timeout: float = 30, processes: Processes = Processes.ALL
    ) -> Report:
        plan = plan_job(
            program=Program(kind="finetune", own=Entry(words=(f"{WORK}/train.py",)), processes=processes),
            options=JobOptions(job_name="finetune"),
            cluster=CLUSTER,
            probes={"node0": node_probe(), "node1": node_probe()},
            job_id="finetune-1",
            owner="ada@bastion",
        )
        return launch(
            plan,
            clients(CLUSTER.nodes, self.nodes),
            observer=self.observe,
            interrupt=self.interrupt,
            all_ranks=all_ranks,
            heartbeat_timeout=heartbeat_timeout,
        )

    def stops(self, name: str) -> List[Dict[str, Any]]:
        return [request for command, request in self.nodes[name].asked if command == "stop"]

    def states(self, report: Report) -> Dict[str, JobState]:
        return {outcome.node: outcome.state for outcome in report.nodes}


def test_a_job_that_succeeds() -> None:
    fleet = Fleet(
        node(log(STEP % (1, 7.5)), log(SPEED), log(STEP % (2, 3.5)), state("SUCCEEDED", 0)),
        node(log("hello", 15), state("SUCCEEDED", 0)),
    )
    report = fleet.launch()
    assert (report.state, report.exit_code, report.first_failure) == (JobState.SUCCEEDED, 0, None)
    assert report.first_step
    assert report.last_step
    assert report.speed
    assert (report.first_step.loss, report.last_step.loss, report.speed.samples_per_second) == (7.5, 3.5, 0.25)
    assert LogLine(node="node1", rank=15, log="worker_15.log", text="hello") in fleet.told
    assert fleet.nodes["node0"].commands() == ["start", "watch"]
    assert not fleet.stops("node1")


def test_the_first_and_the_last_rank_are_watched() -> None:
    fleet = Fleet(node(state("SUCCEEDED", 0)), node(state("SUCCEEDED", 0)))
    fleet.launch()
    requests = [fleet.nodes[name].asked[1][1] for name in ("node0", "node1")]
    common = {"job_root": "/var/lib/telechat", "offsets": {}, "until_eof": True, "tail": None, "since": None}
    assert requests == [{**common, "ranks": ranks} for ranks in ([0], [15])]


def test_all_ranks_on_request() -> None:
    fleet = Fleet(node(state("SUCCEEDED", 0)), node(state("SUCCEEDED", 0)))
    fleet.launch(all_ranks=True)
    assert [fleet.nodes[name].asked[1][1]["ranks"] for name in ("node0", "node1")] == [None, None]


def test_the_first_failure_stops_all_others() -> None:
    fleet = Fleet(
        node(state("RUNNING"), HANG),
        node(state("RUNNING"), log("RuntimeError: chip on fire", 9), state("FAILED", 1, "chip on fire", 9)),
    )
    report = fleet.launch()
    assert fleet.states(report) == {"node0": JobState.STOPPED, "node1": JobState.FAILED}
    assert (report.state, report.exit_code, report.first_failure) == (JobState.FAILED, 1, "node1")
    assert fleet.stops("node0") == [{"job_root": "/var/lib/telechat", "grace_seconds": 10, "by": "ada@bastion"}]
    assert not fleet.stops("node1")
    assert Notice("node1 is FAILED: stopping node0") in fleet.told
    assert report.nodes[1].last_lines == ("RuntimeError: chip on fire",)
    assert "first to fail: node1: chip on fire" in report.as_text()
    assert all(stream.closed.is_set() for stream in fleet.nodes["node0"].streams)


@pytest.mark.parametrize(
    ("of_node0", "first"),
    [
        ("the scheduler: killed by SIGKILL", "node0"),
        ("rank 0 was killed by SIGTERM", "node1"),
    ],
)
def test_a_node_that_only_lost_another_one_is_not_the_first_to_fail(of_node0: str, first: str) -> None:
    failed = stop_answer(state="FAILED", exit_code=1, reason=of_node0)
    fleet = Fleet(
        node(state("RUNNING"), HANG, stop=failed),
        node(state("RUNNING"), state("FAILED", 1, "rank 15 was killed by SIGTERM; the last error in its log: gone")),
    )
    assert fleet.launch().first_failure == first


def test_a_job_that_somebody_else_stops_is_stopped_everywhere() -> None:
    fleet = Fleet(node(HANG), node(state("STOPPED")))
    report = fleet.launch()
    assert (report.state, report.exit_code) == (JobState.STOPPED, 1)
    assert len(fleet.stops("node0")) == 1


@pytest.mark.parametrize(
    ("events", "heartbeat_timeout", "reason"),
    [
        ([], 2, "its watch ended before the job did"),
        ([state("RUNNING"), HANG], 2, "no sign of life for 2 s"),
        ([UnreachableError], 2, "the link is down"),
    ],
)
def test_a_lost_node_is_a_failure_of_nodes_that_do_not_hear_each_other(
    events: List[Any], heartbeat_timeout: float, reason: str
) -> None:
    def broken() -> None:
        raise UnreachableError("the link is down", node="node1")

    beat = threading.Event()
    beats = [lambda: beat.wait(0.05), {"event": "heartbeat"}] * 200
    fleet = Fleet(
        node(state("RUNNING"), *beats, HANG),
        node(*(broken if event is UnreachableError else event for event in events)),
    )
    report = fleet.launch(heartbeat_timeout=heartbeat_timeout, processes=Processes.EACH_NODE)
    assert fleet.states(report) == {"node0": JobState.STOPPED, "node1": JobState.LOST}
    assert report.nodes[1].reason == reason
    assert report.exit_code == 1
    # It may be back, or only its link was gone: its processes are not left to chance.
    assert len(fleet.stops("node1")) == 1


def test_a_node_out_of_sight_is_for_the_others_to_judge() -> None:
    beat = threading.Event()
    beats = [lambda: beat.wait(0.05), {"event": "heartbeat"}] * 60
    ended = {**state("STOPPED", -15, "node1 has given no sign of life for 15 s"), "cause": "node1"}
    fleet = Fleet(node(state("RUNNING"), *beats, ended), node(state("RUNNING"), HANG))
    fleet.on_notice = beat.set
    report = fleet.launch(heartbeat_timeout=1)
    told = [event.text for event in fleet.told if isinstance(event, Notice)]
    assert told[0] == "node1 has not been heard for 1 s; the job goes on, looking for it"
    assert report.first_failure == "node1"
    assert "node0     STOPPED (exit code -15): node1 has given no sign of life for 15 s" in report.as_text()
    assert len(fleet.stops("node1")) == 1


def test_a_job_that_nobody_can_see_any_more_is_not_called_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(monitor, "RECONNECT_SECONDS", 0.6)
    fleet = Fleet(node(state("RUNNING"), HANG), node(state("RUNNING"), HANG))
    with pytest.raises(
        UnreachableError, match=r"no node of job finetune-1 has been heard for 0\.6 s; it may still run"
    ):
        fleet.launch(heartbeat_timeout=0.2)
    assert not fleet.stops("node0")


def test_a_node_that_stays_lost_is_named_with_the_next_step() -> None:
    fleet = Fleet(node(HANG), node(stop=UnreachableError("can't connect", node="node1")))
    fleet.launch(processes=Processes.EACH_NODE, heartbeat_timeout=1)
    notices = [event.text for event in fleet.told if isinstance(event, Notice)]
    assert any("node1 may still run the job; when it is back: telechat-run stop finetune-1" in text for text in notices)


def test_what_outlives_a_stop_is_reported() -> None:
    left = stop_answer(ended=[], left=[4711])
    fleet = Fleet(node(HANG, stop=left), node(state("FAILED", 1, "x")))
    report = fleet.launch()
    assert report.nodes[0].left == (4711,)
    assert "still running: 4711" in report.as_text()


def test_a_busy_node_refuses_and_the_others_are_stopped() -> None:
    busy = {"error": {"code": 5, "message": "busy: bob@laptop runs job x on it since 10:00"}}
    fleet = Fleet(node(), node(start=busy))
    with pytest.raises(FleetError, match="node1: busy: bob@laptop runs job x on it since 10:00") as caught:
        fleet.launch()
    assert caught.value.exit_code == 5
    assert fleet.nodes["node0"].commands() == ["start", "stop"]
    assert fleet.nodes["node1"].commands() == ["start"]


def test_one_node_goes_first_so_that_of_two_users_one_gets_all() -> None:
    busy = {"error": {"code": 5, "message": "busy: bob@laptop runs job x on it since 10:00"}}
    fleet = Fleet(node(start=busy), node())
    with pytest.raises(FleetError, match="node0: busy: bob@laptop"):
        fleet.launch()
    assert fleet.nodes["node1"].commands() == []
    assert fleet.told == []


def test_a_node_that_is_lost_while_starting_is_stopped_too() -> None:
    fleet = Fleet(node(), node(start=UnreachableError("node1: the connection was lost")))
    with pytest.raises(FleetError) as caught:
        fleet.launch()
    assert caught.value.exit_code == 4
    assert [fleet.nodes[name].commands() for name in ("node0", "node1")] == [["start", "stop"]] * 2


def test_ctrl_c_while_starting_waits_for_the_answers_and_stops_all() -> None:
    fleet = Fleet(node(), node())
    answered = threading.Event()

    def slow(_request: Dict[str, Any]) -> Dict[str, Any]:
        fleet.interrupt.request()
        answered.wait(0.3)
        answered.set()
        return {"job_id": "finetune-1", "state": "RUNNING", "supervisor_pid": 1}

    fleet.nodes["node1"].answers["start"] = slow
    report = fleet.launch()
    assert answered.is_set()
    assert report.interrupted
    assert report.exit_code == 130
    assert [fleet.nodes[name].commands() for name in ("node0", "node1")] == [["start", "stop"]] * 2


def test_ctrl_c_while_watching_stops_all() -> None:
    fleet = Fleet(node(HANG), node(HANG))
    fleet.nodes["node0"].events.insert(0, fleet.interrupt.request)
    report = fleet.launch()
    assert report.exit_code == 130
    assert fleet.states(report) == {"node0": JobState.STOPPED, "node1": JobState.STOPPED}
    assert [request["grace_seconds"] for name in fleet.nodes for request in fleet.stops(name)] == [10, 10]
    assert "INTERRUPTED" in report.as_text()


def stop_interrupted_by(press: Callable[[], int]) -> Callable[[Dict[str, Any]], Dict[str, Any]]:
    hung = threading.Event()

    def stop(request: Dict[str, Any]) -> Dict[str, Any]:
        if request["grace_seconds"]:
            press()
            hung.wait(1)
        return stop_answer()

    return stop


def test_ctrl_c_while_stopping_after_a_failure_still_stops_and_ends_with_130() -> None:
    fleet = Fleet(node(HANG), node(state("FAILED", 1, "x")))
    fleet.nodes["node0"].answers["stop"] = stop_interrupted_by(fleet.interrupt.request)
    report = fleet.launch()
    assert report.exit_code == 130
    assert fleet.states(report) == {"node0": JobState.STOPPED, "node1": JobState.FAILED}
    assert len(fleet.stops("node0")) == 1


def test_a_second_ctrl_c_takes_away_the_grace() -> None:
    fleet = Fleet(node(HANG), node(HANG))
    fleet.nodes["node0"].events.insert(0, fleet.interrupt.request)
    fleet.nodes["node0"].answers["stop"] = stop_interrupted_by(fleet.interrupt.request)
    report = fleet.launch()
    assert report.exit_code == 130
    assert [request["grace_seconds"] for request in fleet.stops("node0")] == [10, 0]
    assert [request["grace_seconds"] for request in fleet.stops("node1")] == [10, 0]
