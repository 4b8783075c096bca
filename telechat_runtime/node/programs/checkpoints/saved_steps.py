# SPDX-License-Identifier: Apache-2.0
"""Which steps of a training are saved on this node, rank by rank, and which of their files are whole.

MindFormers (CheckpointMonitor) writes `checkpoint/rank_N/<prefix>-<epoch>_<step>.ckpt`, then `meta.json`, which names
the file that was finished last. Epoch and step of a name count from where that run began; the step of the whole
training stands in the file.
"""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from dataclasses import dataclass, replace
from typing import Any, Dict, Iterable, List, Optional, Tuple

from telechat_runtime.node.programs.checkpoints.safetensors_file import read_safetensors
from telechat_runtime.node.programs.checkpoints.shard_file import ShardError, read_shard

META = "meta.json"
_READERS = {".ckpt": read_shard, ".safetensors": read_safetensors}
_NAME = re.compile(r".+-(\d+)_(\d+)(\.ckpt|\.safetensors)")
_RANK_FOLDER = re.compile(r"rank_(\d+)")
_STEP_NUM = "step_num"
# MindFormers writes it last: a file without it was cut off between two parameters, or is not made to resume from.
_NEEDED = (_STEP_NUM, "epoch_num")
_MAX_FILES = 64


@dataclass(frozen=True)
class SavedStep:
    """A rank's file of one step; `number` is the step of the whole training, `problem` why it can't be loaded."""

    file: str
    epoch: int
    step: int
    saved: float  # when the file was last written, seconds since 1970
    bytes: int
    number: Optional[int] = None
    parameters: int = 0
    problem: str = ""


def saved_ranks(folder: str) -> List[int]:
    """Return the ranks that have a folder of their own."""
    try:
        names = os.listdir(folder)
    except OSError:
        return []
    matches = (_RANK_FOLDER.fullmatch(name) for name in names)
    return sorted(int(match[1]) for match in matches if match)


def saved_steps(folder: str, rank: int) -> List[SavedStep]:
    """Return the steps that a rank has saved, the oldest first, each judged by its file, its size and meta.json."""
    own = os.path.join(folder, f"rank_{rank}")
    steps = [_read(own, step) for step in _listed(own)]
    steps.sort(key=lambda step: (step.number is not None, step.number or 0, step.epoch, step.step, step.saved))
    return list(_compared(steps, _finished(own)))


def _listed(folder: str) -> List[SavedStep]:
    found = []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                match = _NAME.fullmatch(entry.name)
                if match and entry.is_file():
                    stat = entry.stat()
                    found.append(
                        SavedStep(entry.name, int(match[1]), int(match[2]), saved=stat.st_mtime, bytes=stat.st_size)
                    )
    except FileNotFoundError:
        return []
    return sorted(found, key=lambda step: step.saved)[-_MAX_FILES:]


def _read(folder: str, step: SavedStep) -> SavedStep:
    reader = _READERS[os.path.splitext(step.file)[1]]
    try:
        shard = reader(os.path.join(folder, step.file), _NEEDED)
    except ShardError as error:
        return replace(step, problem=str(error))
    missing = [name for name in _NEEDED if name not in shard.numbers]
    return replace(
        step,
        number=shard.numbers.get(_STEP_NUM),
        parameters=len(shard.headers),
        problem=f"{step.file} has no {' and no '.join(missing)}: it is cut off, or holds weights alone"
        if missing
        else "",
    )


def _compared(steps: List[SavedStep], finished: Tuple[Optional[str], str]) -> Iterable[SavedStep]:
    """Yield the steps, judged beside each other: all of one rank have the same parameters, so the same size."""
    whole = [(step.parameters, step.bytes) for step in steps if not step.problem]
    usual = Counter(whole).most_common(1)[0][0] if whole else (0, 0)
    name, meta_problem = finished
    last = next((step for step in steps if step.file == name), None)
    for step in steps:
        problem = step.problem
        if not problem and (step.parameters, step.bytes) != usual:
            problem = (
                f"{step.file} has {step.parameters} parameters in {step.bytes} bytes, the rank's other steps have "
                f"{usual[0]} in {usual[1]}"
            )
        if not problem and meta_problem:
            problem = meta_problem
        if not problem and last is not None and _came_after(step, last):
            problem = f"{META} names {name} as the last that was finished, and {step.file} came after it"
        yield replace(step, problem=problem)


def _came_after(step: SavedStep, other: SavedStep) -> bool:
    if step.number is not None and other.number is not None:
        return step.number > other.number
    return step.saved > other.saved


def _finished(folder: str) -> Tuple[Optional[str], str]:
    """Return the file that meta.json names, and what is wrong with meta.json."""
    try:
        with open(os.path.join(folder, META), encoding="utf-8") as file:
            document: Dict[str, Any] = json.load(file)
        return str(document["last_ckpt_file"]), ""
    except FileNotFoundError:
        return None, f"there is no {META}, which is written when a checkpoint is finished"
    except (OSError, ValueError, KeyError, TypeError) as error:
        return None, f"{META} can't be read: {error}"
