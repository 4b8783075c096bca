# SPDX-License-Identifier: Apache-2.0
"""The events of `node watch` and `node read`."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from typing import Any, Dict, Mapping, Optional, Type, Union, cast

from telechat_runtime.remote.answers.jobs import PartState
from telechat_runtime.remote.protocol import Speaker, protocol_error
from telechat_runtime.typed_json import DocumentError, parse, read_by


@dataclass(frozen=True)
class BeginEvent:
    """Where each log begins, by its name."""

    offsets: Mapping[str, int]


@dataclass(frozen=True)
class LogEvent:
    """A line of a log, and the byte after it; `rank` is None for a log that is not a worker's."""

    log: str
    rank: Optional[int]
    offset: int
    line: str


@dataclass(frozen=True)
class StateEvent(PartState):
    """A new state of the job on the node."""


def _decoded(value: Any) -> bytes:
    try:
        return base64.b64decode(value, validate=True)
    except (TypeError, ValueError) as error:
        raise DocumentError("it is not base64") from error


@dataclass(frozen=True)
class Heartbeat:
    """A sign of life, when there is nothing more to read for now."""


@dataclass(frozen=True)
class FilePiece:
    """A piece of a file."""

    base64: bytes = field(metadata=read_by(_decoded))


@dataclass(frozen=True)
class FileEnd:
    """The checksum of the whole file."""

    sha256: str


_EVENTS: Dict[str, Type[Any]] = {
    "begin": BeginEvent,
    "log": LogEvent,
    "state": StateEvent,
    "heartbeat": Heartbeat,
    "data": FilePiece,
    "end": FileEnd,
}

Event = Union[BeginEvent, LogEvent, StateEvent, Heartbeat, FilePiece, FileEnd]


def read_event(event: Mapping[str, Any], runtime: Speaker, *, node: str) -> Optional[Event]:
    """Return an event of a watch or read; None for one that only a newer runtime knows.

    Raises ProtocolError for a known one that is not what the protocol says.
    """
    cls = _EVENTS.get(str(event["event"]))
    try:
        return None if cls is None else cast("Event", parse(cls, event))
    except DocumentError as error:
        raise protocol_error(node, f"of the event {event['event']}, {error}", runtime) from error
