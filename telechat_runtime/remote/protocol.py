# SPDX-License-Identifier: Apache-2.0
"""What nodes answer to each command of the node protocol (docs/architecture.md), and the one rule by which it is read.

A field without a default has been in every answer since telechat-run 0.1. One that is newer has a default, so that
nodes with an older runtime can still be asked. What only a newer runtime knows is passed over.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from typing import Any, Dict, Mapping, Optional, Tuple, Type, TypeVar, Union, cast

from telechat_runtime import PROTOCOL, __version__
from telechat_runtime.errors import ProtocolError
from telechat_runtime.job.failure import Failure, failure_of
from telechat_runtime.job.options import JobOptions, job_options_of
from telechat_runtime.job.state import JobState
from telechat_runtime.typed_json import WHOLE_DOCUMENT, DocumentError, parse, read_by, read_whole_by
from telechat_runtime.versions.matrix import Versions

T = TypeVar("T")
_FIRST_PROTOCOL = 1
# What lies on a server's own disks or in its memory: another server has the same folder only if it is the same machine.
_LOCAL_FILESYSTEMS = ("ext2", "ext3", "ext4", "xfs", "btrfs", "zfs", "f2fs", "overlay", "tmpfs", "ramfs", "vfat")
UPGRADE_NODE = "bring this version to the node: run playbooks/runtime.yml, under running jobs too, or site.yml"
_UPGRADE_CONTROL = "upgrade telechat-run on this machine: the node's is newer"


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
        return _UPGRADE_CONTROL if self.protocol > PROTOCOL else UPGRADE_NODE


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


def _failure_in(document: Mapping[str, Any]) -> Optional[Failure]:
    try:
        return failure_of(document)
    except ValueError as error:
        raise DocumentError(str(error)) from error


_FAILURE = read_whole_by(_failure_in)
"""Metadata of `failure`, why a job's part ended: 0.1 says so in other fields (see job.failure.failure_of)."""


@dataclass(frozen=True)
class PartState:
    """How a node's part of a job stands: `failure` says why it ended, `reason` says so to people.

    `cause` is the node whose end has ended this one's part, if another one did.
    """

    state: JobState
    exit_code: Optional[int]
    reason: str
    failed_rank: Optional[int]
    cause: str
    failure: Optional[Failure] = field(metadata=_FAILURE)


# probe, status, service


@dataclass(frozen=True)
class Lease:
    """Who holds a node; `since` as the node wrote it."""

    job_id: str
    owner: str
    since: str


@dataclass(frozen=True)
class OutOfService:
    """Why a node takes no new jobs."""

    kind: str
    reason: str
    by: str
    since: str

    def as_text(self) -> str:
        """Write it in one line."""
        return f"{self.reason} ({self.by}, since {self.since})"


@dataclass(frozen=True)
class UpgradeState:
    """What a fleet upgrade has written down on the server; `document` is all of it."""

    state: str = ""
    document: Mapping[str, Any] = field(default_factory=dict, metadata=WHOLE_DOCUMENT, repr=False, compare=False)


@dataclass(frozen=True)
class ServiceAnswer:
    """Whether a server is in service."""

    service: Optional[OutOfService]
    upgrade: Optional[UpgradeState]


@dataclass(frozen=True)
class Ports:
    """The port that was asked for, and the next two free ones: for msrun's scheduler and for the supervisors."""

    wanted: int
    free: Optional[int]
    peers: Optional[int]


@dataclass(frozen=True)
class Tree:
    """A TeleChat2 tree; `run_mindformer` says whether it has that program."""

    run_mindformer: bool


@dataclass(frozen=True)
class Interpreter:
    """The interpreter that jobs use."""

    path: str


@dataclass(frozen=True)
class DatasetFacts:
    """MindRecord files as a node sees them; `problem` says why their rows are not known."""

    files: int
    rows: Optional[int]
    row_lengths: Tuple[int, ...]
    problem: Optional[str]


@dataclass(frozen=True)
class CheckpointFacts:
    """A checkpoint as a node sees it: a "file", a "folder" of files, or cut for "ranks", some of them maybe empty."""

    kind: str
    ranks: Tuple[int, ...]
    empty: Tuple[int, ...]


@dataclass(frozen=True)
class FolderFacts:
    """What identifies a folder on its storage, and the room there."""

    inode: int
    changed_ns: int
    filesystem: str
    free_bytes: int

    def is_apart_from(self, other: FolderFacts) -> bool:
        """Return whether two nodes see two folders for sure.

        On network storage nothing that can be read is proof, inodes and times differ by client: there only a file that
        one node writes and the other finds tells, which is what doctor does.
        """
        if self.filesystem not in _LOCAL_FILESYSTEMS and other.filesystem not in _LOCAL_FILESYSTEMS:
            return False
        return (self.inode, self.changed_ns) != (other.inode, other.changed_ns)


@dataclass(frozen=True)
class Chip:
    """A chip and its health in npu-smi's words."""

    npu_id: int
    health: str


@dataclass(frozen=True)
class Board:
    """What runs on an NPU, in npu-smi's words."""

    driver: Optional[str]
    firmware: Optional[str]
    compatibility: Optional[str]


@dataclass(frozen=True)
class Chips:
    """What npu-smi says; `error` is why there are no chips, `program` where npu-smi is, if anywhere."""

    program: Optional[str]
    error: Optional[str]
    chips: Tuple[Chip, ...]
    boards: Tuple[Board, ...] = ()


@dataclass(frozen=True)
class ProbeAnswer:
    """All that a plan needs to know of a node; None where the node was not asked, or has nothing there."""

    job_root: str
    hostname: str
    resolves: bool
    lease: Optional[Lease]
    service: Optional[OutOfService]
    paths: Mapping[str, Optional[str]]
    port: Optional[Ports]
    tree: Optional[Tree]
    read: Mapping[str, Optional[str]]
    python: Optional[Interpreter]
    free_bytes: int
    dataset: Optional[DatasetFacts]
    checkpoint: Optional[CheckpointFacts]
    folders: Mapping[str, Optional[FolderFacts]]
    chips: Optional[Chips]


@dataclass(frozen=True)
class JobPart(PartState):
    """A job on one node."""

    job_id: str
    kind: str
    owner: str
    started: str
    ended: Optional[str]


@dataclass(frozen=True)
class StatusAnswer:
    """Who holds a node, and its jobs; `stale_lease` is the record of a holder that is gone."""

    lease: Optional[Lease]
    service: Optional[OutOfService]
    jobs: Tuple[JobPart, ...]
    stale_lease: Optional[Lease] = None


# start, stop, sweep


@dataclass(frozen=True)
class StartAnswer:
    """A job that runs."""

    job_id: str
    state: JobState
    supervisor_pid: int


@dataclass(frozen=True)
class StopAnswer(PartState):
    """A job after its stop: its last state, which processes were ended, and which outlived it."""

    job_id: str
    ended: Tuple[int, ...]
    left: Tuple[int, ...]
    event: str = "stopped"


@dataclass(frozen=True)
class SweepFinding:
    """Something that a dead job left; `ours` when it may be cleaned, else `why` not; `done` is what became of it.

    `gone` says whether it is gone by now; a runtime before protocol 2 says so in words only.
    """

    kind: str
    job_id: str
    detail: str
    ours: bool
    why: str
    done: str
    gone: Optional[bool] = None


@dataclass(frozen=True)
class SweepAnswer:
    """What dead jobs left on a server."""

    findings: Tuple[SweepFinding, ...]


# examine


@dataclass(frozen=True)
class Runtime:
    """The node's runtime: its version, and the checksum of its zipapp if it is one."""

    version: str
    sha256: Optional[str]


@dataclass(frozen=True)
class VersionsAnswer:
    """What is installed on a node."""

    versions: Versions
    runtime: Runtime


@dataclass(frozen=True)
class Kernels:
    """The running kernel, the installed ones, oldest first, and those with a module of the driver."""

    running: str
    installed: Tuple[str, ...]
    with_module: Tuple[str, ...]


@dataclass(frozen=True)
class HccnDevice:
    """What hccn_tool says of an NPU; None for what it does not say."""

    device: int
    address: Optional[str]
    link: Optional[str]
    net_health: Optional[str]
    tls: Optional[str]


@dataclass(frozen=True)
class Hccn:
    """What hccn_tool says of every NPU; `program` is where it is, if anywhere."""

    program: Optional[str]
    devices: Tuple[HccnDevice, ...]


@dataclass(frozen=True)
class PingResult:
    """A ping of an NPU; `answered` is None when there was no time for it."""

    device: int
    address: str
    answered: Optional[bool]


@dataclass(frozen=True)
class Pings:
    """All pings of a node."""

    results: Tuple[PingResult, ...]


@dataclass(frozen=True)
class Container:
    """The container of the jobs: its state, its image's name and id, and the id that the name has now."""

    state: str
    image: Optional[str]
    image_id: Optional[str]
    wanted_id: Optional[str]


@dataclass(frozen=True)
class Leftover:
    """Processes of a job that has ended, was lost, or is unknown."""

    job_id: str
    state: str
    pids: Tuple[int, ...]


@dataclass(frozen=True)
class SharedFolder:
    """Why a marker can't be written into a folder, and whether that of another node is found there."""

    error: Optional[str]
    found: bool


@dataclass(frozen=True)
class Clock:
    """The node's time before and after it looked, in seconds since 1970."""

    began: float
    ended: float


@dataclass(frozen=True)
class ExamineAnswer:
    """The sections that were asked for; None for the others, and for those where the node saw nothing."""

    versions: Optional[VersionsAnswer] = None
    probe: Optional[ProbeAnswer] = None
    jobs: Optional[StatusAnswer] = None
    chips: Optional[Chips] = None
    kernels: Optional[Kernels] = None
    hccn: Optional[Hccn] = None
    pings: Optional[Pings] = None
    container: Optional[Container] = None
    devices: Optional[Tuple[str, ...]] = None
    leftovers: Optional[Tuple[Leftover, ...]] = None
    shared_folders: Optional[Mapping[str, SharedFolder]] = None
    service: Optional[ServiceAnswer] = None
    clock: Optional[Clock] = None


SEEN_OR_NOTHING = ("kernels", "container")
"""Sections of `examine` that a node answers with null when it sees nothing there."""


# checkpoint-info, job-output, saved-steps


@dataclass(frozen=True)
class CheckpointJudgement:
    """Why a conversion or a merge can't be made; None when it can."""

    problem: Optional[str]


@dataclass(frozen=True)
class CheckpointInfo:
    """The checkpoint that a conversion or a merge begins with."""

    source_ranks: int
    parameters: int
    bytes: int


@dataclass(frozen=True)
class ConversionInfo:
    """What a conversion makes, and how many files of it are still to be made."""

    result: str
    target_ranks: int
    to_make: int


@dataclass(frozen=True)
class JobOutputAnswer:
    """What a job left on a node; without a `state` the job was never there.

    `strategy` has the files (name: base64), `checkpoints` the ranks that each folder below `output` has.
    """

    state: Optional[JobState]
    config: Optional[str]
    output: Optional[str]
    strategy: Mapping[str, str]
    checkpoints: Mapping[str, Tuple[int, ...]]


@dataclass(frozen=True)
class SavedFile:
    """A rank's file of one step; `number` is the step of the whole training, `problem` why it can't be loaded."""

    file: str
    epoch: int
    step: int
    number: Optional[int]
    problem: str


@dataclass(frozen=True)
class SavedStepsAnswer:
    """The checkpoints of a job by rank, as far as they are in a node's sight; `folder` is None without any."""

    folder: Optional[str]
    ranks: Mapping[int, Tuple[SavedFile, ...]]


# record


@dataclass(frozen=True)
class NodeIdentity:
    """What of a node has to be the same for a job to be run again there."""

    name: str
    addr: str
    npu_count: int
    container: str
    tree: str


@dataclass(frozen=True)
class Fingerprint:
    """What a dataset or checkpoint was (node/facts/fingerprint.py), or the `error` that kept it from being seen."""

    path: str
    error: Optional[str] = None
    files: int = 0
    complete: bool = True
    bytes: int = 0
    listing: str = ""
    by: str = ""
    sample: str = ""

    def is_same_as(self, then: Fingerprint) -> bool:
        """Return whether the content is the same as far as is known; times of change do not count."""
        return (self.error, self.listing, self.sample) == (then.error, then.listing, then.sample)


@dataclass(frozen=True)
class RecordedJob:
    """What a node wrote down of a job before it ran; `document` is all of it, secrets masked."""

    node: str
    nodes: Tuple[NodeIdentity, ...]
    job_id: str
    kind: str
    owner: str
    written: str
    node_rank: int
    first_rank: int
    local_worker_num: int
    job_root: str
    argv: Tuple[str, ...]
    env: Mapping[str, Optional[str]]
    output: str
    master_addr: str
    master_port: Optional[int]
    metric_rank: int
    device_target: str
    versions: Mapping[str, Optional[str]]
    inputs: Mapping[str, Fingerprint]
    options: JobOptions = field(metadata=read_by(job_options_of))
    path: Tuple[str, ...] = ()
    config_diff: str = ""
    results: Tuple[str, ...] = ()
    resumes: str = ""
    restarts: int = 0
    control_version: str = "?"
    document: Mapping[str, Any] = field(default_factory=dict, metadata=WHOLE_DOCUMENT, repr=False, compare=False)


@dataclass(frozen=True)
class Outcome:
    """How a job stands or has ended on a node; `document` is all of it."""

    state: JobState
    ended: Optional[str]
    exit_code: Optional[int]
    reason: str
    document: Mapping[str, Any] = field(default_factory=dict, metadata=WHOLE_DOCUMENT, repr=False, compare=False)


@dataclass(frozen=True)
class StartedWith:
    """What `node start` was given, secrets and all."""

    job_root: str
    node_rank: int
    first_rank: int
    argv: Tuple[str, ...]
    env: Mapping[str, Optional[str]]
    path: Tuple[str, ...]
    files: Mapping[str, str]
    output: str
    options: JobOptions = field(metadata=read_by(job_options_of))
    links: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class RecordAnswer:
    """The record of a job on a node; None for what is not there. The last two come with `replay` only."""

    record: Optional[RecordedJob]
    outcome: Optional[Outcome]
    config: Optional[str]
    start: Optional[StartedWith] = None
    inputs_now: Optional[Mapping[str, Fingerprint]] = None


# watch and read


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
