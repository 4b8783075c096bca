# SPDX-License-Identifier: Apache-2.0
"""A transport that answers the node protocol from a script, and keeps a record of what it was asked.

It stands at the same place as SSH: everything above it, the protocol's client included, is the product's.
"""

from __future__ import annotations

import json
import queue
import threading
from typing import Any, Callable, Dict, Iterator, List, Mapping, Optional, Sequence, Union

from telechat_runtime import PROTOCOL, __version__
from telechat_runtime.cluster.topology import Node
from telechat_runtime.errors import TelechatError
from telechat_runtime.remote.client import NodeClient
from telechat_runtime.remote.events import Event, read_event
from telechat_runtime.remote.protocol import Speaker
from telechat_runtime.remote.transport import Result

Answer = Union[Mapping[str, Any], TelechatError, Result, Callable[[Dict[str, Any]], Any]]
HANG = object()
"""In a watch's script: nothing more comes until the watch is closed."""


class ScriptedTransport:
    """Answers `run` from `answers` by node command, as a runtime of today, and `stream` with `events`."""

    def __init__(self, answers: Mapping[str, Answer], events: Sequence[Any] = ()) -> None:
        self.answers = dict(answers)
        self.events = list(events)
        self.asked: List[tuple[str, Dict[str, Any]]] = []
        self.streams: List[ScriptedStream] = []

    def run(self, argv: Sequence[str], stdin: bytes = b"", *, timeout: float = 60) -> Result:
        assert timeout > 0
        command, request = self._note(argv, stdin)
        answer = self.answers[command]
        if callable(answer):
            answer = answer(request)
        if isinstance(answer, TelechatError):
            raise answer
        if isinstance(answer, Result):
            return answer
        code = answer["error"]["code"] if "error" in answer else 0
        return Result(code, json.dumps({"protocol": PROTOCOL, "version": __version__, **answer}) + "\n", "")

    def stream(self, argv: Sequence[str], stdin: bytes = b"") -> ScriptedStream:
        self._note(argv, stdin)
        self.streams.append(ScriptedStream(self.events))
        return self.streams[-1]

    def close(self) -> None:
        """Nothing is held."""

    def _note(self, argv: Sequence[str], stdin: bytes) -> tuple[str, Dict[str, Any]]:
        request = json.loads(stdin)
        assert request.pop("protocol") == PROTOCOL
        self.asked.append((argv[list(argv).index("node") + 1], request))
        return self.asked[-1]

    def commands(self) -> List[str]:
        return [command for command, _ in self.asked]


class ScriptedStream:
    """Yields the script's events; a callable is called, a Result ends the stream with that."""

    def __init__(self, events: Sequence[Any]) -> None:
        self._events = list(events)
        self._closed: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._result = Result(0, "", "")
        self.closed = threading.Event()

    def lines(self) -> Iterator[str]:
        for event in self._events:
            if self.closed.is_set():
                return
            if event is HANG:
                self._closed.get()
                return
            if isinstance(event, Result):
                self._result = event
                return
            if callable(event):
                event()
            else:
                yield event if isinstance(event, str) else json.dumps(event)

    def result(self) -> Result:
        return self._result

    def close(self) -> None:
        self.closed.set()
        self._closed.put(None)


def log(text: str, rank: int = 0) -> Dict[str, Any]:
    """Return the event of a log line."""
    return {"event": "log", "log": f"worker_{rank}.log", "rank": rank, "offset": 0, "line": text}


def state(name: str, exit_code: Optional[int] = None, reason: str = "", rank: Optional[int] = None) -> Dict[str, Any]:
    """Return the event of a state."""
    found = {"state": name, "exit_code": exit_code, "reason": reason, "failed_rank": rank, "cause": ""}
    return {"event": "state", **found}


def event_of(document: Mapping[str, Any]) -> Event:
    """Return an event of a script as a watch yields it."""
    event = read_event(document, Speaker(), node="node0")
    assert event is not None
    return event


def clients(nodes: Sequence[Node], transports: Mapping[str, ScriptedTransport]) -> Dict[str, NodeClient]:
    """Return a client for each node."""
    return {node.name: NodeClient(node, transports[node.name]) for node in nodes}
