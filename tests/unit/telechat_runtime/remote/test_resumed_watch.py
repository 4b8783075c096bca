# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any, Dict, List, Mapping, Optional

import pytest

from telechat_runtime.errors import ContainerError, TelechatError, UnreachableError, UntrustedHostError
from telechat_runtime.remote.client import NodeClient, Watch
from telechat_runtime.remote.watch import ResumedWatch
from tests.support.clusters import two_nodes
from tests.support.scripted_transport import HANG, ScriptedTransport, event_of, log, state

NODE = two_nodes().master
END = state("SUCCEEDED", 0)


def line(text: str, offset: int, rank: int = 0) -> Dict[str, Any]:
    return {**log(text, rank), "offset": offset}


class Connections:
    """Each connection of a node by its events, or why it can't be had; `asked` are the offsets of each."""

    def __init__(self, *connections: Any) -> None:
        self._connections = list(connections)
        self.asked: List[Optional[Mapping[str, int]]] = []

    def begin(self, offsets: Optional[Mapping[str, int]]) -> Watch:
        self.asked.append(offsets)
        now = self._connections.pop(0)
        if isinstance(now, TelechatError):
            raise now
        return NodeClient(NODE, ScriptedTransport({}, now)).watch("finetune-1", "/root", ranks=None)


def test_a_watch_that_breaks_off_goes_on_after_its_last_line_of_each_log() -> None:
    node = Connections(
        [line("one", 4), line("other", 6, rank=1)], UnreachableError("can't connect"), [line("two", 8), END]
    )
    found = list(ResumedWatch(node.begin, patience=30).events())
    assert [getattr(event, "line", None) for event in found] == ["one", "other", "two", None]
    known = {"worker_0.log": 4, "worker_1.log": 6}
    assert node.asked == [None, known, known]


def test_where_the_logs_begin_is_asked_once() -> None:
    begin = {"event": "begin", "offsets": {"worker_0.log": 90}}
    node = Connections(UnreachableError("can't connect"), [begin], [END])
    list(ResumedWatch(node.begin, patience=30).events())
    assert node.asked == [None, None, {"worker_0.log": 90}]


def test_a_node_that_stays_out_of_reach_is_given_up_with_the_reason() -> None:
    node = Connections([line("one", 4)], UnreachableError("can't connect"), UnreachableError("can't connect"))
    with pytest.raises(UnreachableError, match="can't connect"):
        list(ResumedWatch(node.begin, patience=0.3).events())
    assert len(node.asked) == 2


@pytest.mark.parametrize("reason", [ContainerError("is not running"), UntrustedHostError("the key has changed")])
def test_a_node_whose_job_is_gone_or_that_is_another_is_not_asked_again(reason: TelechatError) -> None:
    node = Connections([line("one", 4)], reason)
    with pytest.raises(type(reason)):
        list(ResumedWatch(node.begin, patience=30).events())
    assert len(node.asked) == 2


def test_nothing_is_asked_after_the_jobs_last_state() -> None:
    node = Connections([END])
    assert list(ResumedWatch(node.begin, patience=30).events()) == [event_of(END)]
    assert len(node.asked) == 1


def test_a_closed_watch_ends_and_is_not_begun_again() -> None:
    node = Connections([line("one", 4), HANG])
    watch = ResumedWatch(node.begin, patience=30)
    events = watch.events()
    next(events)
    watch.close()
    assert list(events) == []
    assert len(node.asked) == 1
