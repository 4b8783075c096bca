# SPDX-License-Identifier: Apache-2.0
"""The lists of a yaml that are as long as the pipeline: layers of each stage, and how many of them are recomputed.

A value is written as MindFormers takes it: one for all, one for each stage, or a row of stages for each interleave.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, List, Optional, Sequence, Tuple, Union

Grid = Tuple[Tuple[int, ...], ...]
Value = Union[bool, int, Sequence[Any]]


@dataclass(frozen=True)
class Pipeline:
    """The stages of a pipeline; each works on `interleave` separate runs of layers."""

    layers: int
    stages: int
    interleave: int = 1

    @property
    def slots(self) -> int:
        """How many runs of layers there are."""
        return self.stages * self.interleave

    @property
    def remainder(self) -> int:
        """How many layers an even cut leaves over."""
        return self.layers % self.slots


def offset_problem(offset: Value, pipeline: Pipeline) -> Optional[str]:
    """Return why `offset` can't be the offset of that pipeline; the rule is that of MindFormers' LayerSetting."""
    try:
        rows = _rows(offset, pipeline)
    except (TypeError, ValueError) as error:
        return f"offset {_text(offset)} {error}"
    total = _sum(offset)
    if total != pipeline.remainder:
        return (
            f"offset {_text(offset)} adds up to {total}, but num_layers {pipeline.layers} % "
            f"(pipeline_stage {pipeline.stages} x pp_interleave_num {pipeline.interleave}) is {pipeline.remainder}"
        )
    counts = [pipeline.layers // pipeline.slots + extra for row in rows for extra in row]
    if sum(counts) != pipeline.layers:
        return f"offset {_text(offset)} gives {sum(counts)} layers to the stages, and the model has {pipeline.layers}"
    if min(counts) < 1:
        return f"offset {_text(offset)} leaves a stage without a layer ({counts})"
    return None


def stage_layers(offset: Value, pipeline: Pipeline) -> Tuple[int, ...]:
    """Return how many layers each stage holds, all its interleaves together. Raises ValueError for a wrong offset."""
    problem = offset_problem(offset, pipeline)
    if problem:
        raise ValueError(problem)
    rows = _rows(offset, pipeline)
    each = pipeline.layers // pipeline.slots
    return tuple(sum(each + row[stage] for row in rows) for stage in range(pipeline.stages))


def new_offset(pipeline: Pipeline) -> Union[int, List[int], List[List[int]]]:
    """Return the offset for a pipeline that has none: layers left over go to the middle.

    The first and the last run of layers get theirs last: their stages hold the embedding and the head.
    """
    if not pipeline.remainder:
        return 0
    last = pipeline.slots - 1
    middle_out = sorted(range(pipeline.slots), key=lambda slot: (abs(2 * slot - last), slot))
    chosen = set(middle_out[: pipeline.remainder])
    rows = [
        [int(row * pipeline.stages + stage in chosen) for stage in range(pipeline.stages)]
        for row in range(pipeline.interleave)
    ]
    return rows if pipeline.interleave > 1 else rows[0]


def count_problem(name: str, value: Value, pipeline: Pipeline) -> Optional[str]:
    """Return why a recompute value does not suit the pipeline: of short ones a part is obeyed, long ones kill."""
    if not isinstance(value, (list, tuple)) or _is_text(value):
        return None
    try:
        _rows(value, pipeline)
    except (TypeError, ValueError) as error:
        return f"{name} {_text(value)} {error}"
    return None


def stage_counts(value: Value, layers: Sequence[int]) -> Tuple[int, ...]:
    """Return on how many layers of each stage a recompute value acts, `layers` being those of each stage."""
    if not isinstance(value, (list, tuple)) or _is_text(value):
        return tuple(layers) if value else (0,) * len(layers)
    rows = value if _is_nested(value) else [value]
    counts = []
    for stage, held in enumerate(layers):
        entries = [row[stage] for row in rows]
        whole = any(entry is True for entry in entries)
        counts.append(held if whole else min(held, sum(int(entry) for entry in entries)))
    return tuple(counts)


def adapted_counts(value: Value, old: Sequence[int], new: Sequence[int]) -> Value:
    """Return a recompute value for stages of `new` layers, made from one for stages of `old` layers.

    Every stage recomputes the highest share of its layers that any stage did before: none keeps a bigger part of its
    activations than the yaml's authors let one keep. A value for all stages stays as it is.
    """
    if not isinstance(value, (list, tuple)) or _is_text(value):
        return value
    counts = stage_counts(value, old)
    share = max(count / held for count, held in zip(counts, old))
    return [min(held, math.ceil(share * held - 1e-9)) for held in new]


def _rows(value: Any, pipeline: Pipeline) -> Grid:
    """Return the value as one row of stages for each interleave. Errors go on after the value."""
    if not isinstance(value, (list, tuple)):
        if not isinstance(value, int):
            raise TypeError("is no number and no list of numbers")
        return ((int(value),) * pipeline.stages,) * pipeline.interleave
    rows = value if _is_nested(value) else [value]
    if _is_nested(value) and len(rows) != pipeline.interleave:
        raise ValueError(f"has {len(rows)} rows, but pp_interleave_num is {pipeline.interleave}")
    for row in rows:
        if len(row) != pipeline.stages:
            raise ValueError(f"has {len(row)} entries for {pipeline.stages} pipeline stages")
        if not all(isinstance(entry, int) for entry in row):
            raise ValueError("holds something else than whole numbers")
    if len(rows) < pipeline.interleave:
        rows = list(rows) * pipeline.interleave
    return tuple(tuple(int(entry) for entry in row) for row in rows)


def _sum(value: Any) -> int:
    return sum(map(_sum, value)) if isinstance(value, (list, tuple)) else int(value)


def _is_nested(value: Sequence[Any]) -> bool:
    return bool(value) and all(isinstance(row, (list, tuple)) for row in value)


def _is_text(value: Sequence[Any]) -> bool:
    return bool(value) and all(isinstance(entry, str) for entry in value)


def _text(value: Value) -> str:
    return str(list(value) if isinstance(value, tuple) else value)
