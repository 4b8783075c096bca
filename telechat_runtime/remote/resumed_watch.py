# SPDX-License-Identifier: Apache-2.0
"""A watch that begins again where it broke off, by byte offset: nothing is missing and nothing comes twice."""

from __future__ import annotations

import threading
import time
from typing import Any, Callable, Dict, Iterator, Mapping, Optional, Sequence

from telechat_runtime import wire_log
from telechat_runtime.errors import ProtocolError, UnreachableError, UntrustedHostError
from telechat_runtime.job.state import JobState
from telechat_runtime.remote.client import NodeClient, Watch

_FIRST_PAUSE_SECONDS = 0.2
_LONGEST_PAUSE_SECONDS = 3.0


class ResumedWatch:
    """The events of a job on one node over as many connections as it takes.

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

    def events(self) -> Iterator[Dict[str, Any]]:
        """Yield events up to the job's last state. Raises UnreachableError when the node stays out of reach."""
        last_sign = time.monotonic()
        pause = _FIRST_PAUSE_SECONDS
        while not self._closed.is_set():
            failure: Optional[UnreachableError] = None
            try:
                for event in self._open().events():
                    self._note_offset(event)
                    yield event
                    if event["event"] == "state" and JobState(event["state"]).is_terminal:
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

    def _note_offset(self, event: Mapping[str, Any]) -> None:
        offsets = self._offsets or {}
        if event["event"] == "log":
            offsets[event["log"]] = event["offset"]
        elif event["event"] == "begin":
            offsets.update(event["offsets"])
        self._offsets = offsets


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
