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
from typing import Any, Dict, List, Optional

from telechat_runtime.node.checkpoints.conversion import Conversion, ConversionError, plan_conversion, rank_file
from telechat_runtime.node.checkpoints.folder import find_shards
from telechat_runtime.node.checkpoints.progress import PART, Progress, remove_parts
from telechat_runtime.node.checkpoints.request import REFUSED, read_request, strategy_of
from telechat_runtime.node.checkpoints.shard_file import ShardError, file_size, read_headers
from telechat_runtime.node.checkpoints.strategy import StrategyError, read_strategy
from telechat_runtime.node.checkpoints.transform import RankTask, make_rank, merge_strategy

_GIB = 1 << 30
# What MindSpore holds for a byte of source: what was read, its copy (twice as wide for bfloat16), the result.
_MEMORY_PER_BYTE = 4


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


def convert(request: Dict[str, Any]) -> None:
    """Convert and verify. Raises ConversionError, ShardError or StrategyError."""
    source_files, target_files = strategy_of(request, "from_strategy"), strategy_of(request, "to_strategy")
    conversion = plan_conversion(
        find_shards(request["checkpoint"]),
        read_strategy(source_files) if source_files else None,
        read_strategy(target_files) if target_files else None,
    )
    folder = os.path.join(request["output"], conversion.shards.name)
    progress = Progress(folder, conversion.fingerprint())
    remove_parts(folder)
    todo = [group for group in conversion.groups if not any(progress.is_done(rank) for rank in group)]
    _say(f"{len(conversion.groups)} different files for {sum(map(len, conversion.groups))} ranks, {len(todo)} to make")
    if todo:
        os.makedirs(folder, exist_ok=True)
        check_space(folder, conversion.source_bytes() * len(todo) // len(conversion.groups))
        with tempfile.TemporaryDirectory(prefix="strategy-", dir=os.getcwd()) as scratch:
            tasks = _tasks(conversion, folder, todo, scratch, source_files, target_files)
            _make(tasks, progress, request.get("processes") or _processes(conversion, len(tasks)))
    _link_replicas(conversion, progress)
    _verify(conversion, folder)
    size = progress.complete()
    if conversion.left_out:
        _say(f"left out, as no strategy knows them: {', '.join(conversion.left_out)}")
    _say(f"verified {sum(map(len, conversion.groups))} ranks, {size / _GIB:.2f} GiB: {folder}")


def check_space(folder: str, needed: int) -> None:
    """Raise ConversionError when the disk below a folder has less than `needed` bytes."""
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise ConversionError(f"{folder} has {free / _GIB:.1f} GiB free, but {needed / _GIB:.1f} GiB are needed")


def _tasks(
    conversion: Conversion,
    folder: str,
    groups: List[List[int]],
    scratch: str,
    source_files: Optional[List[str]],
    target_files: Optional[List[str]],
) -> List[RankTask]:
    merged = []
    for name, files in (("from", source_files), ("to", target_files)):
        own = os.path.join(scratch, name)
        os.mkdir(own)
        merged.append(merge_strategy(files, own))
    return [
        RankTask(
            rank=group[0],
            target_file=rank_file(folder, group[0]),
            available=conversion.available,
            source_strategy=merged[0],
            target_strategy=merged[1],
            expected=conversion.expected(group[0]),
        )
        for group in groups
    ]


def _make(tasks: List[RankTask], progress: Progress, processes: int) -> None:
    began = time.monotonic()
    _say(f"{min(processes, len(tasks))} processes at work")
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
    largest = sum(file_size(file) for file in set(conversion.available.values()))
    by_memory = _available_memory() // max(1, _MEMORY_PER_BYTE * largest)
    return max(1, min(tasks, (os.cpu_count() or 1), by_memory))


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
