# SPDX-License-Identifier: Apache-2.0
"""Writes checkpoints and strategy files as MindSpore does, and reads them back, without MindSpore."""

from __future__ import annotations

import itertools
import math
import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from telechat_runtime.node.programs.checkpoints.wire import Span, WireFile

ITEM_BYTES = {"Float32": 4, "BFloat16": 2, "Int32": 4}


@dataclass(frozen=True)
class Tensor:
    """A parameter: its type in MindSpore's spelling, its shape, its bytes."""

    dtype: str
    shape: tuple[int, ...]
    content: bytes


@dataclass(frozen=True)
class Cut:
    """The layout of a parameter in a strategy file, as MindSpore writes it."""

    device_matrix: tuple[int, ...]
    tensor_map: tuple[int, ...]
    optimizer_step: int = 0
    optimizer_size: int = 0


def floats(shape: Sequence[int], start: int = 0) -> Tensor:
    """Return a float32 parameter that counts up from `start`."""
    count = math.prod(shape)
    return Tensor("Float32", tuple(shape), struct.pack(f"<{count}f", *range(start, start + count)))


def bfloats(shape: Sequence[int], start: int = 0) -> Tensor:
    """Return a bfloat16 parameter that counts up from `start`: a float32's upper half."""
    whole = floats(shape, start).content
    return Tensor("BFloat16", tuple(shape), b"".join(whole[at + 2 : at + 4] for at in range(0, len(whole), 4)))


def write_checkpoint(
    path: Path, tensors: Mapping[str, Tensor], *, piece: int = 1 << 30, checksum: bool = False
) -> Path:
    """Write a checkpoint; a parameter of more than `piece` bytes is cut, as MindSpore does above 512 MiB."""
    path.parent.mkdir(parents=True, exist_ok=True)
    messages = []
    for name, tensor in tensors.items():
        for at in range(0, max(1, len(tensor.content)), piece):
            dims = b"".join(_number(1, size) for size in tensor.shape)
            body = dims + _bytes(2, tensor.dtype.encode()) + _bytes(3, tensor.content[at : at + piece])
            messages.append(_bytes(1, _bytes(1, name.encode()) + _bytes(2, body)))
    path.write_bytes(b"".join(messages) + (b"crc_num" + bytes(10) if checksum else b""))
    return path


def read_checkpoint(path: Path) -> dict[str, Tensor]:
    """Return the parameters of a checkpoint, bytes and all."""
    found: dict[str, Tensor] = {}
    with path.open("rb") as file:
        wire = WireFile(file)
        for value in wire.fields(Span(0, wire.size)):
            parts = {field.number: field for field in wire.fields(value.span)}
            body = list(wire.fields(parts[2].span))
            dims = tuple(number for field in body if field.number == 1 for number in wire.numbers(field))
            dtype = next(wire.text(field.span) for field in body if field.number == 2)
            content = b"".join(wire.bytes(field.span) for field in body if field.number == 3)
            name = wire.text(parts[1].span)
            before = found[name].content if name in found else b""
            found[name] = Tensor(dtype, dims, before + content)
    return found


def write_strategy(path: Path, cuts: Mapping[str, Cut], *, stage: int = 0) -> Path:
    """Write the strategy file of one rank."""
    path.parent.mkdir(parents=True, exist_ok=True)
    operator = _bytes(1, b"MatMul-op0") + _bytes(2, _number(1, stage))
    layouts = b"".join(_bytes(3, _bytes(1, name.encode()) + _bytes(2, _layout(cut))) for name, cut in cuts.items())
    path.write_bytes(_number(1, stage) + _bytes(2, operator) + layouts)
    return path


def write_strategies(folder: Path, stages: Sequence[Mapping[str, Cut]]) -> Path:
    """Write the strategy files of all ranks of a run, one mapping a pipeline stage."""
    rank = itertools.count()
    for stage, cuts in enumerate(stages):
        for _ in range(math.prod(next(iter(cuts.values())).device_matrix)):
            write_strategy(folder / f"ckpt_strategy_rank_{next(rank)}.ckpt", cuts, stage=stage)
    return folder


def _layout(cut: Cut) -> bytes:
    return (
        _bytes(1, _packed(1, cut.device_matrix))
        + _bytes(2, _packed(1, cut.tensor_map))
        + _bytes(3, b"")
        + _bytes(4, b"")
        + _number(5, 0)
        + _number(6, cut.optimizer_step)
        + _number(7, cut.optimizer_size)
    )


def _packed(number: int, values: Iterable[int]) -> bytes:
    return _bytes(number, b"".join(_varint(value) for value in values))


def _number(number: int, value: int) -> bytes:
    return _varint(number << 3) + _varint(value)


def _bytes(number: int, value: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(value)) + value


def _varint(value: int) -> bytes:
    value &= (1 << 64) - 1
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
