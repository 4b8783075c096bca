# SPDX-License-Identifier: Apache-2.0
"""The supervisors of a job's nodes hear each other: who ends badly, or falls silent, ends the job on all of them.

Rank 0's supervisor listens on the master's address, the others hold a connection to it, and it hands on what it hears.
So a job fails fast whether or not a control side is there. Each line is a JSON object; an empty one is a sign of life.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import json
import math
import threading
import time
from dataclasses import dataclass
from typing import Any, Callable, Coroutine, Dict, List, Mapping, Optional, Set, Tuple

from telechat_runtime.errors import PreflightError
from telechat_runtime.job.failure import Failure, FailureKind, failure_data, failure_of
from telechat_runtime.job.state import JobState

_SIGN_SECONDS = 1.0
_CONNECT_AGAIN_SECONDS = 0.5
_LAST_WORDS_SECONDS = 2.0
# More than a busy machine takes to give its next sign, less than the 16 s after which MindSpore ends a worker that has
# lost its scheduler.
_LONG_SILENCE_SECONDS = 5.0
_TRIES_WITHIN_SILENCE = 5
_CANCEL_AGAIN_SECONDS = 0.1
_MAX_UNREAD_BYTES = 1 << 20


@dataclass(frozen=True)
class PeerEnd:
    """A node whose part of the job has ended before its time; LOST when it has fallen silent.

    That may be this node itself: the others have given it up then.
    """

    node: str
    state: JobState
    reason: str
    failure: Failure

    @property
    def text(self) -> str:
        """Say why the other nodes' parts end with it."""
        verb = "failed: " if self.state is JobState.FAILED else ""
        return f"{self.node} {verb}{self.reason}"


@dataclass(frozen=True)
class PeerGroup:
    """All nodes of a job by rank, this one's rank, where rank 0 listens, and what they know each other by.

    `join_seconds` is how long a node may take to come, `silence_seconds` how long one may then give no sign of life.
    """

    names: Tuple[str, ...]
    rank: int
    addr: str
    port: int
    token: str
    join_seconds: float
    silence_seconds: float


def peer_group(request: Mapping[str, Any]) -> Optional[PeerGroup]:
    """Return the group that a request to start names; None for a job of one node, or of nodes without a tie."""
    wanted = request.get("peers")
    if not wanted:
        return None
    return PeerGroup(
        names=tuple(wanted["names"]),
        rank=int(request["node_rank"]),
        addr=wanted["addr"],
        port=int(wanted["port"]),
        token=wanted["token"],
        join_seconds=float(wanted["join_seconds"]),
        silence_seconds=float(wanted["silence_seconds"]),
    )


class Peers:
    """Hears the others in a thread of its own: a disk that hangs must not make this node fall silent.

    `end` is the first bad end of another node. Raises PreflightError when rank 0 can't listen.
    """

    def __init__(self, group: PeerGroup, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.end: Optional[PeerEnd] = None
        self._group = group
        self._clock = clock
        others = range(1, len(group.names)) if group.rank == 0 else (0,)
        self._last_sign: Dict[int, Optional[float]] = dict.fromkeys(others)
        self._began = clock()
        self._writers: Dict[int, asyncio.StreamWriter] = {}
        self._said: List[Dict[str, Any]] = []
        self._told: Set[int] = set()  # who was told all that was said, whatever became of the connection then
        self._somebody_came: Optional[asyncio.Event] = None
        self._tasks: Set[asyncio.Task[None]] = set()
        self._server: Optional[asyncio.AbstractServer] = None
        self._loop = asyncio.new_event_loop()
        try:
            if group.rank == 0:
                listening = asyncio.start_server(self._welcome, group.addr, group.port)
                self._server = self._loop.run_until_complete(listening)
        except OSError as error:
            self._loop.close()
            raise PreflightError(
                f"the other nodes can't be heard on {group.addr}:{group.port}: {error.strerror or error}",
                next_step="start the job again: it looks for another port then; the address is ascend_node_addr",
            ) from error
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def silent(self) -> Optional[PeerEnd]:
        """Return the node that has given no sign of life for the longest time; None while all are heard."""
        signs = [(last, rank) for rank, last in list(self._last_sign.items()) if last is not None]
        last, rank = min(signs, default=(math.inf, 0))
        seconds = self._clock() - last
        if seconds < _LONG_SILENCE_SECONDS:
            return None
        return PeerEnd(
            self._group.names[rank], JobState.LOST, _no_sign_for(round(seconds)), Failure(FailureKind.NODE_LOST)
        )

    def announce(self, state: JobState, reason: str, failure: Optional[Failure]) -> None:
        """Tell the others how this node's part has ended."""
        self._loop.call_soon_threadsafe(self._say, self._document(self._group.rank, state, reason, failure))

    def close(self) -> None:
        """Part, when the others have heard the last words; one that has yet to come is waited for, but not for long."""
        asyncio.run_coroutine_threadsafe(self._part(), self._loop)
        self._thread.join()

    def _run(self) -> None:
        duties: List[Coroutine[Any, Any, None]] = [self._give_signs(), self._notice_silence()]
        if self._group.rank != 0:
            duties.append(self._stay_connected())
        self._tasks = {self._loop.create_task(duty) for duty in duties}
        self._loop.run_forever()
        self._loop.close()

    async def _part(self) -> None:
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._all_told(), self._group.silence_seconds)
        if self._server is not None:
            self._server.close()
        writers = list(self._writers.values())
        for writer in writers:
            writer.close()  # what was written before still goes out
        gone = [asyncio.ensure_future(writer.wait_closed()) for writer in writers]
        if gone:
            await asyncio.wait(gone, timeout=_LAST_WORDS_SECONDS)
        # Before Python 3.12 asyncio.wait_for swallows a cancellation when what it waits for ends at that moment.
        while rest := asyncio.all_tasks(self._loop) - {asyncio.current_task(self._loop)}:
            for task in rest:
                task.cancel()
            await asyncio.wait(rest, timeout=_CANCEL_AGAIN_SECONDS)
        await asyncio.gather(*gone, return_exceptions=True)
        self._loop.stop()

    async def _all_told(self) -> None:
        """Wait until all who have not ended themselves have been told what was said."""
        while self._said and set(self._last_sign) - self._told:
            self._somebody_came = asyncio.Event()
            await self._somebody_came.wait()

    async def _give_signs(self) -> None:
        while True:
            for rank, writer in list(self._writers.items()):
                self._write(rank, writer, {})
            await asyncio.sleep(_SIGN_SECONDS)

    async def _notice_silence(self) -> None:
        group = self._group
        while True:
            now = self._clock()
            for rank, last in list(self._last_sign.items()):
                if last is None and now - self._began > group.join_seconds:
                    self._note_lost(rank, f"has not joined the job for {group.join_seconds:g} s")
                elif last is not None and now - last > group.silence_seconds:
                    self._note_lost(rank, _no_sign_for(group.silence_seconds))
            await asyncio.sleep(_SIGN_SECONDS / 2)

    async def _stay_connected(self) -> None:
        """Hold a connection to rank 0, over and over until it has ended or the silence is too long.

        A connection over a link that was cut stays dead for as long again as the cut was, as TCP tries ever more
        rarely: a new one is tried long before the silence counts.
        """
        patience = self._group.silence_seconds / _TRIES_WITHIN_SILENCE
        while 0 in self._last_sign:
            with contextlib.suppress(OSError, ValueError, asyncio.TimeoutError):
                connecting = asyncio.open_connection(self._group.addr, self._group.port)
                reader, writer = await asyncio.wait_for(connecting, patience)
                self._write(0, writer, {"token": self._group.token, "rank": self._group.rank})
                await self._talk(0, reader, writer, patience)
            await asyncio.sleep(_CONNECT_AGAIN_SECONDS)

    async def _welcome(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Hear whoever has connected to rank 0, if it is a node of the job."""
        try:
            hello = _parse(await asyncio.wait_for(reader.readline(), self._group.silence_seconds))
            is_trusted = hmac.compare_digest(str(hello.get("token")).encode(), self._group.token.encode())
            rank = hello.get("rank")
            if is_trusted and isinstance(rank, int) and 0 < rank < len(self._group.names):
                await self._talk(rank, reader, writer)
        except (OSError, ValueError, asyncio.TimeoutError):
            pass  # a stranger, or a broken link: who is missing is noticed by silence
        finally:
            writer.close()

    async def _talk(
        self,
        rank: int,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        patience: Optional[float] = None,
    ) -> None:
        """Take a node's lines until the link breaks; tell it first what was told before it came.

        Raises asyncio.TimeoutError when no line has come for `patience` seconds.
        """
        self._writers[rank] = writer
        for document in self._said:
            self._write(rank, writer, document)
        self._told.add(rank)
        if self._somebody_came is not None:
            self._somebody_came.set()
        try:
            while line := await asyncio.wait_for(reader.readline(), patience):
                self._take(rank, _parse(line))
        finally:
            if self._writers.get(rank) is writer:
                del self._writers[rank]
            writer.close()

    def _take(self, rank: int, document: Mapping[str, Any]) -> None:
        if rank in self._last_sign:
            self._last_sign[rank] = self._clock()
        if "state" in document:
            state, reason = JobState(document["state"]), str(document["reason"])
            self._note_end(int(document["rank"]), state, reason, failure_of(document))

    def _note_lost(self, rank: int, reason: str) -> None:
        self._note_end(rank, JobState.LOST, reason, Failure(FailureKind.NODE_LOST))

    def _note_end(self, rank: int, state: JobState, reason: str, failure: Optional[Failure]) -> None:
        is_own_word = rank == self._group.rank and state is not JobState.LOST
        if state is not JobState.SUCCEEDED and self.end is None and not is_own_word:
            failure = failure or Failure(FailureKind.UNKNOWN)
            self.end = PeerEnd(self._group.names[rank], state, reason, failure)
            if self._group.rank == 0:
                self._say(self._document(rank, state, reason, failure))
        # Last: whoever asks from another thread finds a node silent, or its end.
        self._last_sign.pop(rank, None)

    def _say(self, document: Dict[str, Any]) -> None:
        self._said.append(document)
        self._told = set(self._writers)
        for rank, writer in list(self._writers.items()):
            self._write(rank, writer, document)

    def _write(self, rank: int, writer: asyncio.StreamWriter, document: Mapping[str, Any]) -> None:
        writer.write(json.dumps(document).encode() + b"\n")
        if writer.transport.get_write_buffer_size() > _MAX_UNREAD_BYTES:
            self._writers.pop(rank, None)
            writer.close()

    @staticmethod
    def _document(rank: int, state: JobState, reason: str, failure: Optional[Failure]) -> Dict[str, Any]:
        found = failure_data(failure)
        return {"rank": rank, "state": str(state), "reason": reason, "failure": found}


def _no_sign_for(seconds: float) -> str:
    return f"has given no sign of life for {seconds:g} s"


def _parse(line: bytes) -> Dict[str, Any]:
    """Return what a line holds. Raises ValueError when it is no JSON object."""
    document = json.loads(line)
    if isinstance(document, dict):
        return document
    raise ValueError(f"{line!r} is no JSON object")
