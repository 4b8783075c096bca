# SPDX-License-Identifier: Apache-2.0
"""What a checkpoint's path means: one file with the whole model, or a folder `rank_N/` for every rank's slice."""

from __future__ import annotations

import glob
import os
import re
from dataclasses import dataclass
from typing import Dict, List, Mapping, Optional, Set, Tuple

from telechat_runtime.node.programs.checkpoints.shard_file import ShardError

SUFFIX = ".ckpt"
_RANK_FOLDER = re.compile(r"rank_(\d+)")
# MindFormers: <prefix>-<epoch>_<step>.ckpt; the prefix names the rank, so it differs from folder to folder.
_STEP = re.compile(r".*-(\d+)_(\d+)\.ckpt")

Step = Tuple[int, int]


@dataclass(frozen=True)
class Shards:
    """A checkpoint's files by rank; a whole one has rank 0 alone. `step` is (epoch, step) when the names tell it."""

    path: str
    sliced: bool
    files: Mapping[int, str]
    step: Optional[Step] = None

    @property
    def name(self) -> str:
        """The checkpoint's own name, which the folder made from it gets."""
        base = os.path.basename(self.path)
        return base.removesuffix(SUFFIX)


def find_shards(path: str) -> Shards:
    """Return a checkpoint's files; of several steps the newest that every rank has. Raises ShardError."""
    path = os.path.normpath(path)
    if os.path.isfile(path):
        if not path.endswith(SUFFIX):
            raise ShardError(f"{path} is no {SUFFIX} file, which is what MindSpore converts")
        return Shards(path=path, sliced=False, files={0: path}, step=_step(path))
    if not os.path.isdir(path):
        raise ShardError(f"{path} does not exist")
    ranks = _rank_folders(path)
    if ranks:
        return _of_ranks(path, {rank: _checkpoints(folder) for rank, folder in ranks.items()})
    files = _checkpoints(path)
    if len(files) == 1:
        return Shards(path=path, sliced=False, files={0: files[0]}, step=_step(files[0]))
    if files:
        raise ShardError(f"{path} holds {len(files)} checkpoint files and no rank_N folder: name one of the files")
    raise ShardError(f"{path} holds neither rank_N folders nor a {SUFFIX} file")


def _of_ranks(path: str, found: Mapping[int, List[str]]) -> Shards:
    empty = [rank for rank, files in found.items() if not files]
    if empty:
        raise ShardError(f"{path} has no {SUFFIX} file for rank {', '.join(map(str, sorted(empty)))}")
    if all(len(files) == 1 for files in found.values()):
        files = {rank: files[0] for rank, files in found.items()}
        steps = {_step(file) for file in files.values()}
        if len(steps) > 1:
            raise ShardError(f"{path} holds files of different steps: {_told(steps)}")
        return Shards(path=path, sliced=True, files=files, step=steps.pop())
    unnamed = [file for files in found.values() for file in files if _step(file) is None]
    if unnamed:
        raise ShardError(f"{unnamed[0]} has others beside it, and no -<epoch>_<step> in its name says which is newer")
    common: Set[Step] = set.intersection(*({_step(file) or (0, 0) for file in files} for files in found.values()))
    if not common:
        raise ShardError(f"{path} has no step that every rank saved")
    newest = max(common)
    chosen = {rank: [file for file in files if _step(file) == newest] for rank, files in found.items()}
    doubled = [files for files in chosen.values() if len(files) > 1]
    if doubled:
        raise ShardError(f"{path} holds step {newest[0]}_{newest[1]} twice: {', '.join(doubled[0])}")
    return Shards(path=path, sliced=True, files={rank: files[0] for rank, files in chosen.items()}, step=newest)


def _rank_folders(path: str) -> Dict[int, str]:
    found = {}
    for name in os.listdir(path):
        match = _RANK_FOLDER.fullmatch(name)
        if match and os.path.isdir(os.path.join(path, name)):
            found[int(match[1])] = os.path.join(path, name)
    return dict(sorted(found.items()))


def _checkpoints(folder: str) -> List[str]:
    return sorted(glob.glob(os.path.join(glob.escape(folder), "*" + SUFFIX)))


def _step(file: str) -> Optional[Step]:
    match = _STEP.fullmatch(os.path.basename(file))
    return (int(match[1]), int(match[2])) if match else None


def _told(steps: Set[Optional[Step]]) -> str:
    return ", ".join(sorted(f"{step[0]}_{step[1]}" if step else "none" for step in steps))
