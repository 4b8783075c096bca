# SPDX-License-Identifier: Apache-2.0
"""Which protocol a node's runtime speaks, the one rule by which its answers are read, and the error of every misfit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Mapping, Optional, Type, TypeVar

from telechat_runtime import PROTOCOL, __version__
from telechat_runtime.errors import ProtocolError
from telechat_runtime.typed_json import DocumentError, parse

T = TypeVar("T")
_FIRST_PROTOCOL = 1
UPGRADE_NODE = "bring this version to the node: run playbooks/runtime.yml, under running jobs too, or site.yml"
UPGRADE_CONTROL = "upgrade telechat-run on this machine: the node's is newer"


@dataclass(frozen=True)
class Speaker:
    """Which protocol and version a node's runtime says it has; telechat-run 0.1 says neither."""

    protocol: int = _FIRST_PROTOCOL
    version: Optional[str] = None

    def __str__(self) -> str:
        return f"telechat-run {self.version or '0.1'}, protocol {self.protocol}"

    @property
    def next_step(self) -> str:
        """Which side has to be upgraded."""
        return UPGRADE_CONTROL if self.protocol > PROTOCOL else UPGRADE_NODE


def speaker(document: Mapping[str, Any]) -> Speaker:
    """Return what a node's first document says of its runtime; what says it wrongly is taken for the oldest."""
    try:
        return parse(Speaker, document)
    except DocumentError:
        return Speaker()


def protocol_error(node: str, problem: str, runtime: Speaker) -> ProtocolError:
    """Return the error of every fault between this telechat-run and the runtime of a node."""
    return ProtocolError(
        f"its runtime ({runtime}) does not fit this telechat-run ({__version__}, protocol {PROTOCOL}): {problem}",
        next_step=runtime.next_step,
        node=node,
    )


def read_answer(cls: Type[T], document: Mapping[str, Any], *, node: str, command: str) -> T:
    """Return a node's answer to a command. Raises ProtocolError when it is not what the protocol says."""
    try:
        return parse(cls, document)
    except DocumentError as error:
        raise protocol_error(node, f"of the answer to {command}, {error}", speaker(document)) from error


def check_may_start(document: Mapping[str, Any], *, node: str) -> None:
    """Raise ProtocolError for a node whose runtime is of another protocol: no new job may be started on it."""
    runtime = speaker(document)
    if runtime.protocol != PROTOCOL:
        raise protocol_error(node, "new jobs need the same protocol on both sides", runtime)


@dataclass(frozen=True)
class NodeError:
    """Why a command failed on the node, with the exit code that it ended with there."""

    code: int
    message: str


@dataclass(frozen=True)
class FailedAnswer:
    """The answer of a command that failed."""

    error: NodeError
