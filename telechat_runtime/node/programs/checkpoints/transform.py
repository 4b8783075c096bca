# SPDX-License-Identifier: Apache-2.0
"""Makes one rank's checkpoint file by MindSpore's own transformation (2.4 to 2.7)."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any, Dict, List, Mapping, Optional

from telechat_runtime.node.programs.checkpoints.conversion import ConversionError
from telechat_runtime.node.programs.checkpoints.progress import PART
from telechat_runtime.node.programs.checkpoints.shard_file import TensorHeader


@dataclass(frozen=True)
class RankTask:
    """One file to make: from which files (by source rank), by which merged strategies, and what it has to hold."""

    rank: int
    target_file: str
    available: Mapping[int, str]
    source_strategy: Optional[str]
    target_strategy: Optional[str]
    expected: Mapping[str, TensorHeader]


def mindspore_on_cpu() -> Any:
    """Return MindSpore, told to leave the NPUs alone: cutting and joining is work for the host's memory."""
    import mindspore  # noqa: PLC0415 - 3 s, and only the processes that convert need it

    if hasattr(mindspore, "set_device"):
        mindspore.set_device("CPU")
    else:
        mindspore.set_context(device_target="CPU")
    return mindspore


def merge_strategy(files: Optional[List[str]], folder: str) -> Optional[str]:
    """Return one strategy file for all stages, made in `folder`: nothing is written where the files lie."""
    if files is None or len(files) == 1:
        return files[0] if files else None
    links = os.path.join(folder, "ranks")
    os.makedirs(links)
    for file in files:
        os.symlink(os.path.abspath(file), os.path.join(links, os.path.basename(file)))
    merged = os.path.join(folder, "merged.ckpt")
    mindspore_on_cpu().merge_pipeline_strategys(links, merged)
    return merged


def make_rank(task: RankTask) -> int:
    """Make a rank's file and return its size in bytes; under its name it appears only when whole and checked.

    Raises ConversionError when MindSpore made something else than expected.
    """
    mindspore = mindspore_on_cpu()
    folder, name = os.path.split(task.target_file)
    os.makedirs(folder, exist_ok=True)
    part = os.path.join(folder, PART + name)
    ranks = mindspore.rank_list_for_transform(task.rank, task.source_strategy, task.target_strategy)
    mindspore.transform_checkpoint_by_rank(
        task.rank,
        {rank: task.available[rank] for rank in ranks},
        part,
        task.source_strategy,
        task.target_strategy,
    )
    check_content(f"rank {task.rank}", mindspore.load_checkpoint(part), task.expected)
    return put_in_place(part, task.target_file)


def check_content(what: str, found: Dict[str, Any], expected: Mapping[str, TensorHeader]) -> None:
    """Compare loaded parameters with what they should be. Raises ConversionError."""
    held = {name: TensorHeader(dtype=str(value.dtype), shape=tuple(value.shape)) for name, value in found.items()}
    if held == dict(expected):
        return
    wrong = sorted(name for name in {*held, *expected} if held.get(name) != expected.get(name))
    name = wrong[0]
    raise ConversionError(
        f"{what}: {len(wrong)} parameters are not what the strategy says; {name} is {_told(held.get(name))} instead of "
        f"{_told(expected.get(name))}"
    )


def put_in_place(part: str, target: str) -> int:
    """Give a finished file its name, safe from a power cut; return its size in bytes."""
    descriptor = os.open(part, os.O_RDONLY)
    try:
        os.fsync(descriptor)
        size = os.fstat(descriptor).st_size
    finally:
        os.close(descriptor)
    os.replace(part, target)
    return size


def _told(header: Optional[TensorHeader]) -> str:
    return f"{header.dtype} {header.shape}" if header else "absent"
