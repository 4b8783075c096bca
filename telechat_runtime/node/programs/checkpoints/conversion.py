# SPDX-License-Identifier: Apache-2.0
"""A conversion of a checkpoint as a value: which files make which, what each will hold, and what forbids it.

Everything is judged by headers and strategy files, before the first tensor is read.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from typing import Dict, Iterable, List, Mapping, Optional, Sequence, Set, Tuple

from telechat_runtime.node.programs.checkpoints.folder import SUFFIX, Shards
from telechat_runtime.node.programs.checkpoints.shard_file import TensorHeader, file_size, read_headers
from telechat_runtime.node.programs.checkpoints.strategy import Layout, Strategy, weights

PREFIX = "checkpoint_"
_NAMED = 3

Headers = Mapping[str, TensorHeader]


class ConversionError(ValueError):
    """A checkpoint does not fit its strategy, or the strategy that is wished for."""


@dataclass(frozen=True)
class Conversion:
    """What a conversion makes of which files; a strategy of None stands for a whole checkpoint.

    `available` names for each rank of the source the file to read: its own, or that of a replica. `full` are the
    parameters uncut, and `left_out` those that no strategy knows: counters and the like.
    """

    shards: Shards
    source: Optional[Strategy]
    target: Optional[Strategy]
    available: Mapping[int, str]
    full: Headers
    left_out: Tuple[str, ...]

    @property
    def groups(self) -> List[List[int]]:
        """The ranks to make, those with equal content together."""
        return self.target.replicas() if self.target else [[0]]

    def expected(self, rank: int) -> Dict[str, TensorHeader]:
        """Return what the file of a rank will hold."""
        if self.target is None:
            return dict(self.full)
        layouts = self.target.layouts(rank)
        return {
            name: TensorHeader(dtype=header.dtype, shape=_cut(header.shape, layouts[name]))
            for name, header in self.full.items()
            if name in layouts
        }

    def source_bytes(self) -> int:
        """Return the size in bytes of all files that are read."""
        return sum(file_size(file) for file in set(self.available.values()))

    def fingerprint(self) -> str:
        """Return a hash of everything that the result depends on; the files by name, size and time."""
        files = []
        for rank, file in sorted(self.available.items()):
            status = os.stat(file)
            files.append([rank, os.path.realpath(file), status.st_size, status.st_mtime_ns])
        text = json.dumps([files, _strategy_text(self.source), _strategy_text(self.target)], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()


def rank_file(folder: str, rank: int) -> str:
    """Return where a conversion puts the file of a rank."""
    return os.path.join(folder, f"rank_{rank}", f"{PREFIX}{rank}{SUFFIX}")


@dataclass(frozen=True)
class Source:
    """A checkpoint that fits its strategy: what Conversion says of it."""

    available: Mapping[int, str]
    full: Headers
    left_out: Tuple[str, ...]


def judge_source(shards: Shards, strategy: Optional[Strategy]) -> Source:
    """Judge a checkpoint by the strategy that cut it, None for a whole one. Raises ConversionError or ShardError."""
    available = _available(shards, strategy)
    headers = {file: read_headers(file) for file in sorted(set(available.values()))}
    if strategy is None:
        return Source(available=available, full=headers[shards.files[0]], left_out=())
    full, left_out = _join(shards, strategy, {rank: headers[file] for rank, file in available.items()})
    return Source(available=available, full=full, left_out=tuple(sorted(left_out)))


def plan_conversion(shards: Shards, source: Optional[Strategy], target: Optional[Strategy]) -> Conversion:
    """Judge a conversion as a whole. Raises ConversionError or ShardError."""
    if source is None and target is None:
        raise ConversionError("neither the checkpoint nor the result is cut by a strategy: there is nothing to convert")
    judged = judge_source(shards, source)
    not_taken = _check_target(judged.full, target) if target is not None else set()
    return Conversion(
        shards=shards,
        source=source,
        target=target,
        available=judged.available,
        full={name: header for name, header in judged.full.items() if name not in not_taken},
        left_out=tuple(sorted({*judged.left_out, *not_taken})),
    )


def _available(shards: Shards, source: Optional[Strategy]) -> Dict[int, str]:
    if source is None:
        if shards.sliced:
            raise ConversionError(
                f"{shards.path} holds a file for each of {len(shards.files)} ranks: name the strategy that cut them, "
                "or, if every rank holds the whole model, one of the files"
            )
        return dict(shards.files)
    if not shards.sliced and source.world_size > 1:
        raise ConversionError(f"{shards.path} is one file, but its strategy is of {source.world_size} ranks")
    strange = sorted(rank for rank in shards.files if rank >= source.world_size)
    if strange:
        raise ConversionError(
            f"{shards.path} has rank {_listed(strange)}, but its strategy is of {source.world_size} ranks only"
        )
    available: Dict[int, str] = {}
    missing: List[str] = []
    for group in source.replicas():
        found = [shards.files[rank] for rank in group if rank in shards.files]
        if not found:
            missing.append(" or ".join(str(rank) for rank in group))
        else:
            available.update({rank: shards.files.get(rank, found[0]) for rank in group})
    if missing:
        raise ConversionError(f"{shards.path} lacks the files of rank {_listed(missing)}: copy them beside the others")
    return available


def _join(shards: Shards, source: Strategy, headers: Mapping[int, Headers]) -> Tuple[Dict[str, TensorHeader], Set[str]]:
    """Return the parameters uncut, and the names in the files that the strategy does not know."""
    full: Dict[str, TensorHeader] = {}
    strange: Dict[str, TensorHeader] = {}
    for rank, held in headers.items():
        layouts = source.layouts(rank)
        missing = [name for name in weights(layouts, layouts) if name not in held]
        if missing:
            raise ConversionError(
                f"{shards.files.get(rank, shards.path)} lacks {_named(missing)}, which its strategy says it has"
            )
        for name, header in held.items():
            if name not in layouts:
                strange[name] = header
                continue
            whole = TensorHeader(dtype=header.dtype, shape=_joined(name, header.shape, layouts[name]))
            if full.setdefault(name, whole) != whole:
                raise ConversionError(
                    f"rank {rank} says that {name} is {whole.dtype} {whole.shape} as a whole, another rank that it is "
                    f"{full[name].dtype} {full[name].shape}: the strategy is not of this checkpoint"
                )
    left_out = {name for name in strange if name not in full}
    lost = weights(left_out, {*strange, *full})
    if lost:
        raise ConversionError(
            f"the strategy of {shards.path} does not know {_named(lost)}. "
            "Was it saved with parallel.strategy_ckpt_config.only_trainable_params (true unless the yaml says False)?"
        )
    return full, left_out


def _check_target(full: Headers, target: Strategy) -> Set[str]:
    """Return the names that the target does not take. Raises ConversionError for weights that would be lost or new."""
    names = target.names
    left_out = {name for name in full if name not in names}
    lost = weights(left_out, full)
    if lost:
        raise ConversionError(
            f"the strategy to convert to does not know {_named(lost)}: it is of another model, or was saved with "
            "parallel.strategy_ckpt_config.only_trainable_params (true unless the yaml says False)"
        )
    new = [name for name in weights(names, names) if "lora_" not in name.lower() and name not in full]
    if new:
        raise ConversionError(
            f"the strategy to convert to has {_named(new)}, which the checkpoint lacks: another model?"
        )
    for stage in target.stages:
        for name, layout in stage.items():
            if name in full:
                _check_cut(name, full[name].shape, layout)
    return left_out


def _check_cut(name: str, shape: Tuple[int, ...], layout: Layout) -> None:
    cuts = _cuts(name, shape, layout)
    if any(size % cut for size, cut in zip(shape, cuts)):
        raise ConversionError(
            f"{name} has the shape {shape}, which can't be cut into {' x '.join(map(str, cuts))} parts"
        )


def _joined(name: str, shape: Tuple[int, ...], layout: Layout) -> Tuple[int, ...]:
    return tuple(size * cut for size, cut in zip(shape, _cuts(name, shape, layout)))


def _cut(shape: Tuple[int, ...], layout: Layout) -> Tuple[int, ...]:
    return tuple(size // cut for size, cut in zip(shape, layout.cuts() or (1,) * len(shape)))


def _cuts(name: str, shape: Tuple[int, ...], layout: Layout) -> Tuple[int, ...]:
    cuts = layout.cuts() or (1,) * len(shape)
    if len(cuts) != len(shape):
        raise ConversionError(f"{name} has {len(shape)} dimensions, but its layout cuts {len(cuts)}: another model?")
    return cuts


def _strategy_text(strategy: Optional[Strategy]) -> object:
    if strategy is None:
        return None
    return [
        sorted(
            [name, layout.device_matrix, layout.tensor_map, layout.optimizer_shards] for name, layout in stage.items()
        )
        for stage in strategy.stages
    ]


def _named(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


def _listed(items: Iterable[object]) -> str:
    return ", ".join(str(item) for item in items)
