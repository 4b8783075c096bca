# SPDX-License-Identifier: Apache-2.0
"""What a node can tell of a checkpoint's folder, and of one that other nodes are to share; changes neither."""

from __future__ import annotations

import os
import re
from typing import Any, Dict, List, Optional, Tuple

_RANK = re.compile(r"rank_(\d+)")
_CHECKPOINTS = (".ckpt", ".safetensors")
_MOUNTS = "/proc/self/mountinfo"
_OCTAL = re.compile(r"\\([0-7]{3})")


def look_at_checkpoint(path: str) -> Optional[Dict[str, Any]]:
    """Return whether a checkpoint is one file or cut for ranks, and for which; None when it is not there."""
    if os.path.isfile(path):
        return {"kind": "file", "ranks": [], "empty": []}
    if not os.path.isdir(path):
        return None
    ranks: List[int] = []
    empty: List[int] = []
    for name in os.listdir(path):
        match = _RANK.fullmatch(name)
        if match and os.path.isdir(os.path.join(path, name)):
            ranks.append(int(match[1]))
            if not any(file.endswith(_CHECKPOINTS) for file in os.listdir(os.path.join(path, name))):
                empty.append(int(match[1]))
    return {"kind": "ranks" if ranks else "folder", "ranks": sorted(ranks), "empty": sorted(empty)}


def identify(path: str) -> Optional[Dict[str, Any]]:
    """Return what tells a folder from another node's, and the room there; None when it is not there."""
    if not os.path.isdir(path):
        return None
    seen = os.stat(path)
    space = os.statvfs(path)
    return {
        "inode": seen.st_ino,
        "changed_ns": seen.st_mtime_ns,
        "filesystem": _filesystem(os.path.realpath(path)),
        "free_bytes": space.f_bavail * space.f_frsize,
    }


def _filesystem(path: str) -> str:
    """Return the type of the filesystem that holds a path, by the longest mount point before it."""
    best: Tuple[str, str] = ("", "unknown")
    try:
        with open(_MOUNTS, encoding="utf-8", errors="surrogateescape") as mounts:
            for line in mounts:
                left, _, right = line.partition(" - ")
                point = _OCTAL.sub(lambda code: chr(int(code[1], 8)), left.split()[4])
                is_above = path == point or path.startswith(point.rstrip("/") + "/")
                if is_above and len(point) >= len(best[0]):
                    best = (point, right.split()[0])
    except OSError:
        return "unknown"
    return best[1]
