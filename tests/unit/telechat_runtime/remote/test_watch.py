# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import time
from typing import Any, List, Tuple

from telechat_runtime.errors import UnreachableError
from telechat_runtime.interrupt import Interrupt
from telechat_runtime.job.failure import Failure, FailureKind
from telechat_runtime.remote.client import NodeClient, Watch
from telechat_runtime.remote.events import Heartbeat
from telechat_runtime.remote.transport import Result
from telechat_runtime.remote.watch import FleetWatch, NodeBack, NodeEvent, NodeLost, NodeSilent
from tests.support.clusters import two_nodes
from tests.support.scripted_transport import HANG, ScriptedTransport, event_of, log

NODE = two_nodes().master
UNREACHABLE = Failure(FailureKind.UNREACHABLE)
SILENT = Failure(FailureKind.NODE_LOST)
BEAT = {"event": "heartbeat"}


def watch_of(*events: Any) -> Watch:
    return NodeClient(NODE, ScriptedTransport({}, events)).watch("finetune-1", "/root", ranks=None)


def collect(watch: FleetWatch, count: int) -> List[Tuple[str, NodeEvent]]:
    found: List[Tuple[str, NodeEvent]] = []
    deadline = time.monotonic() + 10
    while len(found) < count and time.monotonic() < deadline:
        item = watch.poll()
        if item is not None:
            found.append(item)
    return found


def test_the_events_of_all_nodes_come_together_each_in_its_order() -> None:
    watch = FleetWatch(
        {name: lambda: watch_of(log("one"), log("two"), HANG) for name in ("a", "b")}, heartbeat_timeout=30
    )
    found = collect(watch, 4)
    watch.close()
    for name in ("a", "b"):
        assert [event for who, event in found if who == name] == [event_of(log("one")), event_of(log("two"))]


def test_a_watch_that_ends_or_cannot_begin_is_a_lost_node() -> None:
    def refuse() -> Watch:
        raise UnreachableError("can't connect", node="b")

    watch = FleetWatch({"a": watch_of, "b": refuse}, heartbeat_timeout=30)
    assert sorted(collect(watch, 2), key=str) == [
        ("a", NodeLost("its watch ended before the job did", UNREACHABLE)),
        ("b", NodeLost("can't connect", UNREACHABLE)),
    ]


def test_a_node_whose_container_stops_is_lost_to_that() -> None:
    stopped = Result(1, "", "Error response from daemon: container 5f3a is not running")
    watch = FleetWatch({"a": lambda: watch_of(log("one"), stopped)}, heartbeat_timeout=30)
    lost = collect(watch, 2)[1][1]
    assert isinstance(lost, NodeLost)
    assert lost.failure == Failure(FailureKind.CONTAINER_STOPPED)


def test_a_silent_node_is_noticed_while_another_talks() -> None:
    talk = [lambda: time.sleep(0.02), BEAT] * 100
    watch = FleetWatch({"a": lambda: watch_of(*talk, HANG), "b": lambda: watch_of(BEAT, HANG)}, heartbeat_timeout=0.2)
    found = collect(watch, 60)
    watch.close()
    assert ("b", NodeLost("no sign of life for 0.2 s", SILENT)) in found
    assert ("a", NodeLost("no sign of life for 0.2 s", SILENT)) not in found


def test_with_patience_a_silent_node_is_told_and_told_again_when_it_is_back() -> None:
    talk = [lambda: time.sleep(0.02), BEAT] * 100
    pause = lambda: time.sleep(0.5)  # noqa: E731
    watch = FleetWatch(
        {"a": lambda: watch_of(*talk, HANG), "b": lambda: watch_of(BEAT, pause, BEAT, HANG)},
        heartbeat_timeout=0.2,
        patience=0.1,
    )
    of_b = [event for name, event in collect(watch, 60) if name == "b"]
    watch.close()
    assert of_b[:4] == [Heartbeat(), NodeSilent(0.2), NodeBack(), Heartbeat()]
    assert not any(isinstance(event, NodeLost) for event in of_b)


def test_nodes_are_lost_when_none_is_heard_for_so_long() -> None:
    watch = FleetWatch({name: lambda: watch_of(BEAT, HANG) for name in ("a", "b")}, heartbeat_timeout=0.1, patience=0.4)
    found = collect(watch, 5)
    watch.close()
    assert [event for _, event in found].count(NodeSilent(0.1)) == 2
    assert found[-1][1] == NodeLost("no sign of life for 0.4 s", SILENT, unheard=True)


def test_a_node_that_has_ended_owes_no_sign_of_life() -> None:
    watch = FleetWatch({"a": lambda: watch_of(BEAT, HANG)}, heartbeat_timeout=0.1)
    assert collect(watch, 1) == [("a", Heartbeat())]
    watch.ended("a")
    time.sleep(0.2)
    assert watch.poll() is None
    watch.close()


def test_a_watch_that_begins_after_the_end_is_closed() -> None:
    transport = ScriptedTransport({}, [HANG])
    client = NodeClient(NODE, transport)

    def late() -> Watch:
        time.sleep(0.1)
        return client.watch("finetune-1", "/root", ranks=None)

    watch = FleetWatch({"a": late}, heartbeat_timeout=30)
    watch.close()
    assert collect(watch, 1) == [("a", NodeLost("its watch ended before the job did", UNREACHABLE))]
    assert transport.streams[0].closed.is_set()


def test_following_ends_when_no_node_is_expected_to_say_more() -> None:
    talk = [log(str(number)) for number in range(50)]
    watch = FleetWatch({name: lambda: watch_of(*talk, HANG) for name in ("a", "b")}, heartbeat_timeout=30)
    found: List[str] = []
    for name, _ in watch.follow(Interrupt()):
        found.append(name)
        watch.ended(name)
    watch.close()
    assert sorted(found) == ["a", "b"], "what a node says after its end does not count"


def test_following_ends_with_ctrl_c_and_in_time() -> None:
    interrupt = Interrupt()
    watch = FleetWatch({"a": lambda: watch_of(log("one"), log("two"), HANG)}, heartbeat_timeout=30)
    for _, event in watch.follow(interrupt):
        assert event == event_of(log("one"))
        interrupt.request()
    assert list(watch.follow(Interrupt(), seconds=0)) == []
    watch.close()
