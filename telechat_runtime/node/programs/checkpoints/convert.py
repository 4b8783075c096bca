# SPDX-License-Identifier: Apache-2.0
"""Converts a checkpoint: whole to sliced, sliced to whole, or from one layout to another. `python -m … REQUEST.json`.

Ranks with equal content (data parallel) are made once and linked. Each file appears under its name when it is whole and
is then recorded, so a second run makes only what is missing.

Exit codes: 0 all files made and verified, 1 failed, 3 the checkpoint or a strategy can't be used.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import shutil
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from typing import Any, Dict, List, Optional

from telechat_runtime.node.programs.checkpoints.conversion import (
    Conversion,
    ConversionError,
    plan_conversion,
    rank_file,
)
from telechat_runtime.node.programs.checkpoints.folder import find_shards
from telechat_runtime.node.programs.checkpoints.progress import PART, Progress, remove_parts
from telechat_runtime.node.programs.checkpoints.request import REFUSED, read_request, strategy_of
from telechat_runtime.node.programs.checkpoints.shard_file import ShardError, read_headers
from telechat_runtime.node.programs.checkpoints.strategy import StrategyError, read_strategy
from telechat_runtime.node.programs.checkpoints.transform import RankTask, make_rank, merge_strategy

_GIB = 1 << 30
# What a process of MindSpore 2.7 holds at most for a byte of bfloat16 source (6.6 measured): what was read, the message
# parsed from it, the tensors, and their copies in float32.
_MEMORY_PER_BYTE = 7


def main(argv: Optional[List[str]] = None) -> int:
    """Convert what the request asks for and return the exit code."""
    request = read_request((sys.argv[1:] if argv is None else argv)[0])
    try:
        convert(request)
    except (ConversionError, ShardError, StrategyError) as error:
        sys.stderr.write(f"convert: error: {error}\n")
        return REFUSED
    except BrokenProcessPool:
        sys.stderr.write(
            "convert: error: a process was killed, most likely for lack of memory; "
            "what is done is kept: run it again with --processes 1\n"
        )
        return 1
    return 0


@dataclass(frozen=True)
class Judged:
    """A conversion that may begin: what it makes where, and what of it is there already."""

    conversion: Conversion
    progress: Progress
    source_files: Optional[List[str]]
    target_files: Optional[List[str]]

    @property
    def todo(self) -> List[List[int]]:
        """The groups of ranks of which no file stands yet."""
        return [group for group in self.conversion.groups if not any(self.progress.is_done(rank) for rank in group)]


def judge(request: Dict[str, Any], folder: str) -> Judged:
    """Judge what is asked for, without changing anything but `folder`, which takes the strategies brought along.

    Raises ConversionError, ShardError or StrategyError.
    """
    source_files, target_files = (strategy_of(request, key, folder) for key in ("from_strategy", "to_strategy"))
    conversion = plan_conversion(
        find_shards(request["checkpoint"]),
        read_strategy(source_files) if source_files else None,
        read_strategy(target_files) if target_files else None,
    )
    target = os.path.join(request["output"], conversion.shards.name)
    judged = Judged(
        conversion=conversion,
        progress=Progress(target, conversion.fingerprint()),
        source_files=source_files,
        target_files=target_files,
    )
    check_space(target, conversion.source_bytes() * len(judged.todo) // len(conversion.groups))
    return judged


def convert(request: Dict[str, Any]) -> None:
    """Convert and verify. Raises ConversionError, ShardError or StrategyError."""
    with tempfile.TemporaryDirectory(prefix="strategy-", dir=os.getcwd()) as scratch:
        judged = judge(request, scratch)
        conversion, progress = judged.conversion, judged.progress
        remove_parts(progress.folder)
        ranks = sum(map(len, conversion.groups))
        _say(f"ranks: {ranks}, different files: {len(conversion.groups)}, to make: {len(judged.todo)}")
        if judged.todo:
            tasks = _tasks(judged, scratch)
            _make(tasks, progress, request.get("processes") or _processes(conversion, len(tasks)))
    _link_replicas(conversion, progress)
    _verify(conversion, progress.folder)
    size = progress.complete()
    if conversion.left_out:
        _say(f"left out, as no strategy knows them: {', '.join(conversion.left_out)}")
    _say(f"verified: {progress.folder}, ranks: {ranks}, {size / _GIB:.2f} GiB")


def check_space(folder: str, needed: int) -> None:
    """Raise ConversionError when a folder, which need not be there yet, can't take `needed` bytes."""
    while not os.path.exists(folder):
        folder = os.path.dirname(folder)
    if not os.path.isdir(folder) or not os.access(folder, os.W_OK):
        raise ConversionError(f"{folder} is no folder that can be written: give another --output")
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise ConversionError(f"{folder} has {free / _GIB:.1f} GiB free, but {needed / _GIB:.1f} GiB are needed")


def _tasks(judged: Judged, scratch: str) -> List[RankTask]:
    conversion = judged.conversion
    source = merge_strategy(judged.source_files, os.path.join(scratch, "merge-from"))
    target = merge_strategy(judged.target_files, os.path.join(scratch, "merge-to"))
    return [
        RankTask(
            rank=group[0],
            target_file=rank_file(judged.progress.folder, group[0]),
            available=conversion.available,
            source_strategy=source,
            target_strategy=target,
            expected=conversion.expected(group[0]),
        )
        for group in judged.todo
    ]


def _make(tasks: List[RankTask], progress: Progress, processes: int) -> None:
    began = time.monotonic()
    _say(f"processes: {min(processes, len(tasks))}")
    with ProcessPoolExecutor(min(processes, len(tasks)), mp_context=multiprocessing.get_context("spawn")) as pool:
        running = {pool.submit(make_rank, task): task for task in tasks}
        try:
            for number, done in enumerate(as_completed(running), start=1):
                size = done.result()
                rank = running[done].rank
                progress.record(rank)
                seconds = time.monotonic() - began
                _say(f"{number} of {len(tasks)}: rank {rank}, {size / _GIB:.2f} GiB, {seconds:.0f} s")
        except BaseException:
            for waiting in running:
                waiting.cancel()
            raise


def _link_replicas(conversion: Conversion, progress: Progress) -> None:
    for group in conversion.groups:
        done = next(rank for rank in group if progress.is_done(rank))
        for rank in group:
            if not progress.is_done(rank):
                _link(rank_file(progress.folder, done), rank_file(progress.folder, rank))
                progress.record(rank)


def _link(made: str, target: str) -> None:
    folder, name = os.path.split(target)
    os.makedirs(folder, exist_ok=True)
    part = os.path.join(folder, PART + name)
    try:
        os.link(made, part)
    except OSError:  # not every shared file system has hard links
        shutil.copy2(made, part)
    os.replace(part, target)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(part)


def _verify(conversion: Conversion, folder: str) -> None:
    for group in conversion.groups:
        expected = conversion.expected(group[0])
        for rank in group:
            file = rank_file(folder, rank)
            if read_headers(file) != expected:
                raise ConversionError(f"{file} does not hold what the strategy says: remove it and run this again")


def _processes(conversion: Conversion, tasks: int) -> int:
    needed = _MEMORY_PER_BYTE * conversion.source_bytes()
    free = _available_memory()
    if free < needed:
        _say(f"warning: {free / _GIB:.0f} GiB of memory are free, and a process may take {needed / _GIB:.0f} GiB")
    return max(1, min(tasks, os.cpu_count() or 1, free // max(1, needed)))


def _available_memory() -> int:
    with open("/proc/meminfo", encoding="ascii") as file:
        for line in file:
            name, _, value = line.partition(":")
            if name == "MemAvailable":
                return int(value.split()[0]) * 1024
    return 0


def _say(text: str) -> None:
    sys.stdout.write(f"convert: {text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
