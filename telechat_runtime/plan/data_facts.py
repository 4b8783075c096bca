# SPDX-License-Identifier: Apache-2.0
"""What a node is asked of a job's data, and what it answers: dataset, checkpoint, folders that nodes are to share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Dict, Mapping, Optional, Tuple

# What lies on a server's own disks or in its memory: another server has the same folder only if it is the same machine.
_LOCAL_FILESYSTEMS = ("ext2", "ext3", "ext4", "xfs", "btrfs", "zfs", "f2fs", "overlay", "tmpfs", "ramfs", "vfat")


@dataclass(frozen=True)
class DataQuestion:
    """Paths of the nodes; empty ones are not asked for."""

    dataset: str = ""
    checkpoint: str = ""
    folders: Tuple[str, ...] = ()

    def as_request(self) -> Dict[str, Any]:
        """Return the fields of the document that `node probe` reads."""
        return {
            "dataset": self.dataset or None,
            "checkpoint": self.checkpoint or None,
            "folders": list(self.folders),
        }


@dataclass(frozen=True)
class DatasetLook:
    """MindRecord files as a node sees them; `problem` says why their rows are not known."""

    files: int
    rows: Optional[int]
    row_lengths: Tuple[int, ...]
    problem: Optional[str]


@dataclass(frozen=True)
class CheckpointLook:
    """A checkpoint as a node sees it: a "file", a "folder" of files, or cut for "ranks", some of them maybe empty."""

    kind: str
    ranks: Tuple[int, ...]
    empty: Tuple[int, ...]


@dataclass(frozen=True)
class FolderLook:
    """What identifies a folder on its storage, and the room there."""

    inode: int
    changed_ns: int
    filesystem: str
    free_bytes: int

    def is_apart_from(self, other: FolderLook) -> bool:
        """Tell whether two nodes see two folders for sure.

        On network storage nothing that can be read is proof, inodes and times differ by client: there only a file that
        one node writes and the other finds tells, which is what doctor does.
        """
        if self.filesystem not in _LOCAL_FILESYSTEMS and other.filesystem not in _LOCAL_FILESYSTEMS:
            return False
        return (self.inode, self.changed_ns) != (other.inode, other.changed_ns)


@dataclass(frozen=True)
class DataLook:
    """A node's answer; None where it was not asked, or has nothing there."""

    dataset: Optional[DatasetLook] = None
    checkpoint: Optional[CheckpointLook] = None
    folders: Tuple[Tuple[str, Optional[FolderLook]], ...] = ()

    def folder(self, path: str) -> Optional[FolderLook]:
        """Return what was seen of that folder."""
        return dict(self.folders).get(path)


NO_DATA = DataLook()


def parse_data(answer: Mapping[str, Any]) -> DataLook:
    """Read the answer to a DataQuestion. Raises KeyError or TypeError when it is not what the protocol says."""
    dataset, checkpoint = answer["dataset"], answer["checkpoint"]
    return DataLook(
        dataset=DatasetLook(
            files=int(dataset["files"]),
            rows=dataset["rows"],
            row_lengths=tuple(dataset["row_lengths"]),
            problem=dataset["problem"],
        )
        if dataset
        else None,
        checkpoint=CheckpointLook(
            kind=checkpoint["kind"], ranks=tuple(checkpoint["ranks"]), empty=tuple(checkpoint["empty"])
        )
        if checkpoint
        else None,
        folders=tuple(
            (path, FolderLook(**{name: seen[name] for name in ("inode", "changed_ns", "filesystem", "free_bytes")}))
            if seen
            else (path, None)
            for path, seen in answer["folders"].items()
        ),
    )
