# SPDX-License-Identifier: Apache-2.0
"""What doctor knows of a node, and what a check may say of it."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field, replace
from typing import Dict, Iterable, List, Mapping, NamedTuple, Optional, Tuple

from telechat_runtime.cluster.topology import Cluster, Node
from telechat_runtime.errors import NodeRuntimeError, ProtocolError, TelechatError, UnreachableError
from telechat_runtime.remote.answers.examine import ExamineAnswer, Hccn, SharedFolder
from telechat_runtime.remote.answers.probe import Chips
from telechat_runtime.versions.matrix import Versions

VERIFIED = "verified.json"
NOT_EXAMINED = ExamineAnswer()
"""What is known of a node that gave no answer."""


class Status(str, enum.Enum):
    """How a check ended, in the order of severity."""

    OK = "ok"
    NOT_SEEN = "not seen"
    WARN = "warn"
    FAIL = "fail"

    def __str__(self) -> str:
        return str(self.value)


class Finding(NamedTuple):
    """What a check says of a node; two nodes of the same detail are shown as one."""

    status: Status
    detail: str
    next_step: str = ""


class ClockOffset(NamedTuple):
    """How far a node's clock is ahead of the control side's, in seconds, and by how much that may be wrong."""

    seconds: float
    uncertainty: float


class Ping(NamedTuple):
    """One NPU's ping to one of another node; `answered` is None when there was no time for it."""

    device: int
    peer: str
    peer_device: int
    answered: Optional[bool]

    def __str__(self) -> str:
        return f"NPU {self.device} -> {self.peer} NPU {self.peer_device}"


class Agreed(NamedTuple):
    """What most nodes have, where all have to have the same; None where nobody told."""

    tls: Optional[str] = None
    image_id: Optional[str] = None
    clock: Optional[float] = None


_NOTHING_AGREED = Agreed()


@dataclass(frozen=True)
class NodeFacts:
    """What a node answered, from inside the container and from the server itself, or why it did not.

    `runtime_sha256` is that of the control side's zipapp; None where the node runs the control side's own package.
    `pings` are those that its NPUs sent, None when it did not tell; `shared` is its answer for each shared path.
    `fault` is that of an answer to a later question.
    """

    cluster: Cluster
    node: Node
    runtime_sha256: Optional[str]
    inside: ExamineAnswer
    server: ExamineAnswer
    inside_error: Optional[TelechatError] = None
    server_error: Optional[TelechatError] = None
    clock: Optional[ClockOffset] = None
    pings: Optional[Tuple[Ping, ...]] = None
    fault: Optional[ProtocolError] = None
    shared: Mapping[str, SharedFolder] = field(default_factory=dict)
    agreed: Agreed = _NOTHING_AGREED

    @property
    def unreachable(self) -> Optional[TelechatError]:
        """Why nothing at all of the node was seen."""
        error = self.inside_error
        answered = self.server != NOT_EXAMINED or self.inside != NOT_EXAMINED
        reached = answered or not isinstance(error, UnreachableError)
        return None if reached or isinstance(error, NodeRuntimeError) else error

    @property
    def protocol_fault(self) -> Optional[ProtocolError]:
        """Why the node's runtime and this telechat-run do not understand each other, if they do not."""
        errors = (self.inside_error, self.server_error, self.fault)
        return next((error for error in errors if isinstance(error, ProtocolError)), None)

    @property
    def chips(self) -> Optional[Chips]:
        """What npu-smi says on the server, else in the container."""
        return self.server.chips or self.inside.chips

    @property
    def hccn(self) -> Optional[Hccn]:
        """What hccn_tool says on the server, else in the container."""
        return self.server.hccn or self.inside.hccn

    def versions(self) -> Versions:
        """Return the versions of the server's HDK and of the software where jobs run."""
        inside = self.inside.versions.versions if self.inside.versions else Versions()
        server = self.server.versions.versions if self.server.versions else Versions()
        return replace(inside, **{name: getattr(server, name) or getattr(inside, name) for name in _HDK_FIELDS})

    def why_not_seen(self) -> str:
        """Say why the container, or the place where jobs run, gave no answer."""
        if self.unreachable:
            return "the node can't be reached"
        return "the container gave no answer" if self.node.container else "the node gave no answer"


_HDK_FIELDS = ("driver", "firmware", "firmware_release", "driver_accepts", "firmware_accepts")


def not_seen(reason: str) -> Finding:
    """Return what a check says that could not look."""
    return Finding(Status.NOT_SEEN, reason)


def numbered(noun: str, numbers: List[int]) -> str:
    """Name things by number: `NPU 3`, `NPUs 0, 1`."""
    return f"{noun}{'s' if len(numbers) > 1 else ''} {', '.join(str(number) for number in numbers)}"


def most_common(values: Iterable[Optional[str]]) -> Optional[str]:
    """Return the value that is there most often; of equally many, the first."""
    counts: Dict[str, int] = {}
    for value in values:
        if value is not None:
            counts[value] = counts.get(value, 0) + 1
    return max(counts, key=lambda value: counts[value], default=None)
