# SPDX-License-Identifier: Apache-2.0
"""How a run cut its parameters: strategy files (`ckpt_strategy_rank_N.ckpt`), and the arithmetic on them.

Format (mindspore/ccsrc/utils/node_strategy.proto): every rank of a pipeline stage writes the same; a merged file
holds all stages and puts `<stage>-` before each parameter's name. A device matrix (a, b) with a tensor map (0, -1)
cuts the first dimension b times, along the last axis of the matrix, and leaves the second whole.
"""

from __future__ import annotations

import glob
import math
import os
import re
from dataclasses import dataclass
from typing import Container, Dict, Iterable, List, Mapping, Optional, Sequence, Set, Tuple

from telechat_runtime.node.programs.checkpoints.wire import Span, WireError, WireFile

RANK_FILE = re.compile(r".*_rank_(\d+)\.ckpt")
_STRATEGY_ITEM = 2
_LAYOUT_ITEM = 3
_NAME = 1
_BODY = 2
_STAGE = 1
_DEVICE_MATRIX = 1
_TENSOR_MAP = 2
_OPTIMIZER_STEP = 6
_OPTIMIZER_SIZE = 7
_DIM = 1
_ALL_THAT_REPEAT = -1
# <state>.<name of the weight>: of Adam, of optimizers in MindFormers and MindSpore, and of gradient accumulation.
_OPTIMIZER_STATE = (
    *("adam_m.", "adam_v.", "accu_grads.", "accum.", "moments.", "moment1.", "moment2."),
    *("exp_avg.", "exp_avg_sq.", "exp_avg_sq_row.", "exp_avg_sq_col.", "exp_avg_insta_row.", "exp_avg_insta_col."),
)


class StrategyError(ValueError):
    """A strategy file can't be read, is none, or does not fit the others."""


@dataclass(frozen=True)
class Layout:
    """How one parameter is cut; `tensor_map` names for each dimension the axes of the device matrix, from its right.

    `optimizer_shards` is how many times the optimizer cuts the first dimension once more (-1: as often as it repeats).
    """

    device_matrix: Tuple[int, ...]
    tensor_map: Tuple[Tuple[int, ...], ...]
    optimizer_shards: int = 0

    @property
    def devices(self) -> int:
        """Number of devices of the parameter's pipeline stage."""
        return math.prod(self.device_matrix)

    def cuts(self) -> Tuple[int, ...]:
        """Return for each dimension into how many parts it is cut."""
        cuts = [math.prod(self.device_matrix[-1 - axis] for axis in axes) for axes in self.tensor_map]
        if self.optimizer_shards and cuts:
            repeats = self.devices // math.prod(cuts)
            cuts[0] *= repeats if self.optimizer_shards == _ALL_THAT_REPEAT else self.optimizer_shards
        return tuple(cuts)

    def coordinates(self, rank: int) -> Tuple[int, ...]:
        """Return where a rank of the stage stands on the axes that cut; ranks that share it hold the same slice."""
        if self.optimizer_shards not in (0, 1):
            return (rank,)
        used = {len(self.device_matrix) - 1 - axis for axes in self.tensor_map for axis in axes}
        matrix = self.device_matrix
        return tuple(rank // math.prod(matrix[index + 1 :]) % matrix[index] for index in sorted(used))


@dataclass(frozen=True)
class Strategy:
    """How a whole run cut its parameters: the layouts of each pipeline stage, by the parameter's name."""

    stages: Tuple[Mapping[str, Layout], ...]

    @property
    def devices_per_stage(self) -> int:
        """Number of ranks of one pipeline stage."""
        return max(layout.devices for layout in self.stages[0].values())

    @property
    def world_size(self) -> int:
        """Number of ranks."""
        return self.devices_per_stage * len(self.stages)

    @property
    def names(self) -> Set[str]:
        """Every parameter's name."""
        return {name for stage in self.stages for name in stage}

    def layouts(self, rank: int) -> Mapping[str, Layout]:
        """Return the layouts of what a rank holds."""
        return self.stages[rank // self.devices_per_stage]

    def replicas(self) -> List[List[int]]:
        """Return the ranks in groups whose members hold exactly the same; each group, and the list, in rank order."""
        groups: Dict[Tuple[object, ...], List[int]] = {}
        for rank in range(self.world_size):
            stage, local = divmod(rank, self.devices_per_stage)
            distinct = sorted(set(self.stages[stage].values()), key=_order)
            groups.setdefault((stage, *(layout.coordinates(local) for layout in distinct)), []).append(rank)
        return list(groups.values())


def is_weight(name: str) -> bool:
    """Tell whether a parameter belongs to a cell of the model, and is no counter and no state of the optimizer."""
    return "." in name and not name.startswith(_OPTIMIZER_STATE)


def weights(names: Iterable[str], among: Container[str]) -> List[str]:
    """Return those of `names` that are weights; the state of any optimizer is called after a weight."""
    return sorted(name for name in names if is_weight(name) and name.partition(".")[2] not in among)


def strategy_files(path: str) -> List[str]:
    """Return the strategy files that a path means: itself, or the rank files in the folder, else its one merged file.

    Raises StrategyError when there is none.
    """
    if os.path.isfile(path):
        return [path]
    if not os.path.isdir(path):
        raise StrategyError(f"{path} does not exist")
    files = sorted(glob.glob(os.path.join(glob.escape(path), "*.ckpt")))
    ranks = [file for file in files if RANK_FILE.fullmatch(os.path.basename(file))]
    if ranks:
        return sorted(ranks, key=_rank_of)
    if len(files) == 1:
        return files
    found = f"{len(files)} files, none of them named …_rank_N.ckpt" if files else "no .ckpt file"
    raise StrategyError(f"{path} is no folder of strategy files: it holds {found}")


def read_strategy(files: Sequence[str]) -> Strategy:
    """Read strategy files of one run, or a merged one. Raises StrategyError."""
    stages: Dict[int, Dict[str, Layout]] = {}
    seen: Set[bytes] = set()
    for file in files:
        for stage, layouts in _read_file(file, seen).items():
            if stages.setdefault(stage, layouts) != layouts:
                raise StrategyError(
                    f"{file} cuts stage {stage} in another way than the files before: are they of one run?"
                )
    where = os.path.dirname(files[0])
    return _checked(where if len(files) > 1 else files[0], stages)


def _checked(where: str, stages: Dict[int, Dict[str, Layout]]) -> Strategy:
    if not stages:
        raise StrategyError(f"{where} holds no layout of any parameter")
    missing = sorted(set(range(max(stages) + 1)) - set(stages))
    if missing:
        raise StrategyError(
            f"{where} lacks the strategy of pipeline stage {_listed(missing)} of {max(stages) + 1}: "
            "gather the files of all nodes"
        )
    # Of one device: a counter, which no axis knows.
    devices = {layout.devices for layouts in stages.values() for layout in layouts.values()} - {1}
    if len(devices) > 1:
        raise StrategyError(f"{where} has stages of different sizes: {_listed(sorted(devices))} devices")
    return Strategy(stages=tuple(stages[stage] for stage in sorted(stages)))


def _read_file(path: str, seen: Set[bytes]) -> Dict[int, Dict[str, Layout]]:
    try:
        with open(path, "rb") as file:
            content = file.read()
            if content in seen:
                return {}
            seen.add(content)
            return _parse(WireFile(file))
    except OSError as error:
        raise StrategyError(f"{path}: {error.strerror}") from error
    except WireError as error:
        raise StrategyError(f"{path} is no strategy file: {error}") from error


def _parse(wire: WireFile) -> Dict[int, Dict[str, Layout]]:
    own_stage: Optional[int] = None
    found: Dict[str, Layout] = {}
    for field in wire.fields(Span(0, wire.size)):
        if field.number == _STRATEGY_ITEM and own_stage is None:
            own_stage = _stage_of(wire, field.span)
        elif field.number == _LAYOUT_ITEM:
            name, layout = _layout_item(wire, field.span)
            found[name] = layout
    stages: Dict[int, Dict[str, Layout]] = {}
    for name, layout in found.items():
        stage, dash, rest = name.partition("-")
        if dash and stage.isdigit():
            stages.setdefault(int(stage), {})[rest] = layout
        else:
            stages.setdefault(own_stage or 0, {})[name] = layout
    return stages


def _stage_of(wire: WireFile, span: Span) -> int:
    for field in wire.fields(span):
        if field.number == _BODY:
            for part in wire.fields(field.span):
                if part.number == _STAGE and isinstance(part.value, int):
                    return part.value
    return 0


def _layout_item(wire: WireFile, span: Span) -> Tuple[str, Layout]:
    name, layout = "", None
    for field in wire.fields(span):
        if field.number == _NAME:
            name = wire.text(field.span)
        elif field.number == _BODY:
            layout = _layout(wire, field.span)
    if not name or layout is None:
        raise WireError(f"the layout at byte {span.start} has no name or no matrix")
    return name, layout


def _layout(wire: WireFile, span: Span) -> Layout:
    matrix: Tuple[int, ...] = ()
    maps: List[Tuple[int, ...]] = []
    step, size = 0, 0
    for field in wire.fields(span):
        if field.number == _DEVICE_MATRIX:
            matrix = tuple(_dims(wire, field.span))
        elif field.number == _TENSOR_MAP:
            maps.append(tuple(_dims(wire, field.span)))
        elif field.number == _OPTIMIZER_STEP:
            step = wire.numbers(field)[0]
        elif field.number == _OPTIMIZER_SIZE:
            size = wire.numbers(field)[0]
    if not matrix or any(dim < 1 for dim in matrix):
        raise WireError(f"the device matrix at byte {span.start} is {matrix}")
    # One map names one axis for each dimension; several maps, one for each dimension, name all axes that cut it.
    axes = [dim for dim in maps if dim] if len(maps) > 1 else [(axis,) for found in maps for axis in found]
    if any(axis >= len(matrix) for dim in axes for axis in dim):
        raise WireError(f"the tensor map at byte {span.start} names an axis that the device matrix {matrix} lacks")
    tensor_map = tuple(tuple(axis for axis in dim if axis >= 0) for dim in axes)
    return Layout(device_matrix=matrix, tensor_map=tensor_map, optimizer_shards=size if step else 0)


def _dims(wire: WireFile, span: Span) -> List[int]:
    return [number for field in wire.fields(span) if field.number == _DIM for number in wire.numbers(field)]


def _rank_of(file: str) -> int:
    found = RANK_FILE.fullmatch(os.path.basename(file))
    return int(found[1]) if found else -1


def _order(layout: Layout) -> Tuple[object, ...]:
    return (layout.device_matrix, layout.tensor_map, layout.optimizer_shards)


def _listed(numbers: Iterable[int]) -> str:
    return ", ".join(str(number) for number in numbers)
