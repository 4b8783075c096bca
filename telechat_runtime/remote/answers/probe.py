# SPDX-License-Identifier: Apache-2.0
"""Answers to `node probe` and `node service`: what the plan of a job needs to know of a node."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Mapping, Optional, Tuple

from telechat_runtime.typed_json import WHOLE_DOCUMENT

# What lies on a server's own disks or in its memory: another server has the same folder only if it is the same machine.
_LOCAL_FILESYSTEMS = ("ext2", "ext3", "ext4", "xfs", "btrfs", "zfs", "f2fs", "overlay", "tmpfs", "ramfs", "vfat")


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
