# SPDX-License-Identifier: Apache-2.0
"""Watches a job: on one node over as many connections as it takes, and on many nodes at once, a thread for each."""

from __future__ import annotations

import math
import queue
import threading
import time
from dataclasses import dataclass
from typing import Callable, Dict, Iterator, List, Mapping, Optional, Protocol, Sequence, Set, Tuple, Union

from telechat_runtime import wire_log
from telechat_runtime.errors import (
    ContainerStoppedError,
    ProtocolError,
    TelechatError,
    UnreachableError,
    UntrustedHostError,
)
from telechat_runtime.interrupt import Interrupt
from telechat_runtime.job.failure import Failure, FailureKind
from telechat_runtime.remote.client import NodeClient, Watch
from telechat_runtime.remote.events import BeginEvent, Event, LogEvent, StateEvent

HEARTBEAT_SECONDS = 15.0
"""How long a node may be silent before that is told; a living watch has a heartbeat every two seconds."""
RECONNECT_SECONDS = 600.0
"""How long a job that needs no control side is looked for while none of its nodes is heard."""
_POLL_SECONDS = 0.1
_FIRST_PAUSE_SECONDS = 0.2
_LONGEST_PAUSE_SECONDS = 3.0
_SILENT = Failure(FailureKind.NODE_LOST)


def failure_to_reach(error: TelechatError) -> Failure:
    """Return what became of a node's part of a job, as far as the error that ended the talk with the node tells."""
    is_stopped = isinstance(error, ContainerStoppedError)
    return Failure(FailureKind.CONTAINER_STOPPED if is_stopped else FailureKind.UNREACHABLE)


@dataclass(frozen=True)
class NodeLost:
    """A node's watch has ended, or gone silent, before the job had ended there; `unheard` when no node is heard.

    With a `fault` the node is heard, and not understood.
    """

    reason: str
    failure: Failure
    unheard: bool = False
    fault: Optional[ProtocolError] = None


@dataclass(frozen=True)
class NodeSilent:
    """A node has given no sign of life for some time; it may be back."""

    seconds: float


@dataclass(frozen=True)
class NodeBack:
    """A node that was silent is heard again."""


NodeEvent = Union[Event, NodeLost, NodeSilent, NodeBack]


class EventStream(Protocol):
    """The events of one node: a `Watch`, or one that begins again when it breaks off."""

    def events(self) -> Iterator[Event]:
        """Yield the node's events."""

    def close(self) -> None:
        """End them; may be called from any thread."""


class ResumedWatch:
    """The events of a job on one node; a watch that breaks off goes on at its last byte of each log.

    `begin` opens a watch from byte offsets on, by log name, and gets None until there was an event. After `patience`
    seconds without one it gives up. A node whose container has stopped, or whose key has changed, is not asked again:
    its job is gone, or it is not that node; nor one whose runtime this telechat-run does not understand.
    """

    def __init__(self, begin: Callable[[Optional[Mapping[str, int]]], Watch], *, patience: float) -> None:
        self._begin = begin
        self._patience = patience
        self._offsets: Optional[Dict[str, int]] = None
        self._watch: Optional[Watch] = None
        self._closed = threading.Event()
        self._lock = threading.Lock()

    def events(self) -> Iterator[Event]:
        """Yield events up to the job's last state. Raises UnreachableError when the node stays out of reach."""
        last_sign = time.monotonic()
        pause = _FIRST_PAUSE_SECONDS
        while not self._closed.is_set():
            failure: Optional[UnreachableError] = None
            try:
                for event in self._open().events():
                    self._note_offset(event)
                    yield event
                    if isinstance(event, StateEvent) and event.state.is_terminal:
                        return
                    last_sign = time.monotonic()
                    pause = _FIRST_PAUSE_SECONDS
            except (UntrustedHostError, ProtocolError):
                raise
            except UnreachableError as error:
                failure = error
            wire_log.note("watch", "it broke off (%s); again in %.1f s", failure or "no reason given", pause)
            if time.monotonic() + pause - last_sign > self._patience:
                if failure is not None:
                    raise failure
                return
            self._closed.wait(pause)
            pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)

    def close(self) -> None:
        """End the watch; may be called from any thread."""
        self._closed.set()
        with self._lock:
            if self._watch is not None:
                self._watch.close()

    def _open(self) -> Watch:
        watch = self._begin(None if self._offsets is None else dict(self._offsets))
        with self._lock:
            if self._watch is not None:
                self._watch.close()
            self._watch = watch
            if self._closed.is_set():
                watch.close()
        return watch

    def _note_offset(self, event: Event) -> None:
        offsets = self._offsets or {}
        if isinstance(event, LogEvent):
            offsets[event.log] = event.offset
        elif isinstance(event, BeginEvent):
            offsets.update(event.offsets)
        self._offsets = offsets


class FleetWatch:
    """The events of all nodes in one queue; `open_watch` has a function for each node that begins its watch.

    A node that is silent for `heartbeat_timeout` seconds is lost. With `patience` it is only silent, and lost when no
    node has been heard for so long: while one is heard, it knows better than this side how the others are.
    """

    def __init__(
        self,
        open_watch: Mapping[str, Callable[[], EventStream]],
        *,
        heartbeat_timeout: float,
        patience: Optional[float] = None,
    ) -> None:
        self._heartbeat_timeout = heartbeat_timeout
        self._patience = patience
        self._silent: Set[str] = set()
        self._events: queue.SimpleQueue[Tuple[str, NodeEvent]] = queue.SimpleQueue()
        self._last_sign: Dict[str, float] = dict.fromkeys(open_watch, time.monotonic())
        self._watches: List[EventStream] = []
        self._closed = False
        self._next_look = 0.0
        self._lock = threading.Lock()
        for name, begin in open_watch.items():
            threading.Thread(target=self._follow, args=(name, begin), daemon=True).start()

    def follow(self, interrupt: Interrupt, *, seconds: float = math.inf) -> Iterator[Tuple[str, NodeEvent]]:
        """Yield events by node while one is expected to have more, up to Ctrl-C or for so many seconds."""
        deadline = time.monotonic() + seconds
        while self._last_sign and not interrupt.requested and time.monotonic() < deadline:
            item = self.poll()
            if item is not None:
                yield item

    def poll(self) -> Optional[Tuple[str, NodeEvent]]:
        """Wait a moment for the next event; a node without a sign of life for too long is an event too."""
        # Looked for first: while other nodes are talkative the queue is never empty.
        silent = self._silent_node()
        if silent is not None:
            return silent
        try:
            name, event = self._events.get(timeout=_POLL_SECONDS)
        except queue.Empty:
            return None
        return (name, event) if name in self._last_sign else None

    def ended(self, name: str) -> None:
        """Note that nothing more is expected of a node."""
        self._last_sign.pop(name, None)

    def close(self) -> None:
        """End all watches."""
        with self._lock:
            self._closed = True
            for watch in self._watches:
                watch.close()

    def _silent_node(self) -> Optional[Tuple[str, NodeEvent]]:
        now = time.monotonic()
        if now < self._next_look:
            return None
        self._next_look = now + _POLL_SECONDS
        signs = dict(self._last_sign)
        for name, last in signs.items():
            if now - last <= self._heartbeat_timeout:
                continue
            if self._patience is None:
                self.ended(name)
                return name, NodeLost(f"no sign of life for {self._heartbeat_timeout:g} s", _SILENT)
            if name not in self._silent:
                self._silent.add(name)
                return name, NodeSilent(self._heartbeat_timeout)
            if now - max(signs.values()) > self._patience:
                self.ended(name)
                return name, NodeLost(f"no sign of life for {self._patience:g} s", _SILENT, unheard=True)
        return None

    def _follow(self, name: str, begin: Callable[[], EventStream]) -> None:
        reason, failure = "its watch ended before the job did", Failure(FailureKind.UNREACHABLE)
        fault: Optional[ProtocolError] = None
        try:
            watch = begin()
            with self._lock:
                self._watches.append(watch)
                if self._closed:
                    watch.close()
            for event in watch.events():
                if name in self._last_sign:
                    self._last_sign[name] = time.monotonic()
                if name in self._silent:
                    self._silent.discard(name)
                    self._events.put((name, NodeBack()))
                self._events.put((name, event))
        except ProtocolError as error:
            reason, fault = str(error), error
        except TelechatError as error:
            # Whoever shows the reason puts the node's name before it.
            reason, failure = str(error).removeprefix(f"{name}: "), failure_to_reach(error)
        self._events.put((name, NodeLost(reason, failure, fault=fault)))


def watch_job(
    client: NodeClient,
    job_id: str,
    job_root: str,
    *,
    ranks: Optional[Sequence[int]],
    patience: float,
    tail: Optional[int] = None,
    since: Optional[float] = None,
) -> ResumedWatch:
    """Return a watch of a job on one node; see NodeClient.watch for what it brings and where its logs begin."""

    def begin(offsets: Optional[Mapping[str, int]]) -> Watch:
        if offsets is None:
            return client.watch(job_id, job_root, ranks=ranks, tail=tail, since=since)
        return client.watch(job_id, job_root, ranks=ranks, offsets=offsets)

    return ResumedWatch(begin, patience=patience)
