# SPDX-License-Identifier: Apache-2.0
"""Names, types and shapes of a MindSpore checkpoint file (`.ckpt`), by its headers alone.

Format (mindspore/ccsrc/utils/checkpoint.proto): messages `Checkpoint` in a row, each with `value {tag, tensor {dims,
tensor_type, tensor_content}}`; a large tensor is cut into several values of one tag, each with the dims of the whole.
A checksum may follow: `crc_num` and ten bytes.
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from typing import Collection, Dict, NamedTuple, Tuple

from telechat_runtime.node.programs.checkpoints.wire import Field, Span, WireError, WireFile

_VALUE = 1
_TAG = 1
_TENSOR = 2
_DIMS = 1
_TYPE = 2
_CONTENT = 3
_CHECKSUM = b"crc_num"
_CHECKSUM_BYTES = 17
_ITEM_BYTES = {
    "Bool": 1,
    "Int8": 1,
    "UInt8": 1,
    "Int16": 2,
    "UInt16": 2,
    "Float16": 2,
    "BFloat16": 2,
    "Int32": 4,
    "UInt32": 4,
    "Float32": 4,
    "Int64": 8,
    "UInt64": 8,
    "Float64": 8,
}


class ShardError(ValueError):
    """A checkpoint file can't be read, is cut off, or is no checkpoint."""


@dataclass(frozen=True)
class TensorHeader:
    """What a checkpoint says of a parameter; `dtype` in MindSpore's spelling, as BFloat16."""

    dtype: str
    shape: Tuple[int, ...]


class Shard(NamedTuple):
    """What a checkpoint file holds: its parameters by name, and the values of the whole numbers that were asked for."""

    headers: Dict[str, TensorHeader]
    numbers: Dict[str, int]


def read_headers(path: str) -> Dict[str, TensorHeader]:
    """Return the parameters of a checkpoint file by name, as read_shard does."""
    return read_shard(path).headers


def read_shard(path: str, numbers: Collection[str] = ()) -> Shard:
    """Return the parameters of a checkpoint file, and see that the bytes of each are all there.

    `numbers` are parameters of one whole number to read; those that the file does not have are left out. Raises
    ShardError.
    """
    headers: Dict[str, TensorHeader] = {}
    content: Dict[str, int] = {}
    found: Dict[str, int] = {}
    try:
        with open(path, "rb") as file:
            wire = WireFile(file)
            for field in wire.fields(Span(0, _messages_end(wire))):
                name, header, span = _value(wire, field)
                known = headers.setdefault(name, header)
                # Of a name that stands there twice the bytes can't fit both, which is found below.
                content[name] = content.get(name, 0) + (span.end - span.start if known == header else -1)
                if name in numbers and is_whole_number(header):
                    found[name] = int.from_bytes(wire.bytes(span), "little", signed=True)
    except OSError as error:
        raise ShardError(f"{path}: {error.strerror}") from error
    except WireError as error:
        raise ShardError(f"{path} is cut off or no MindSpore checkpoint: {error}") from error
    if not headers:
        raise ShardError(f"{path} holds no parameter")
    for name, header in headers.items():
        _check_content(path, name, header, content[name])
    return Shard(headers, found)


def is_whole_number(header: TensorHeader) -> bool:
    """Tell whether a parameter is one whole number."""
    return header.dtype in ("Int32", "Int64") and math.prod(header.shape) == 1


def _messages_end(wire: WireFile) -> int:
    start = wire.size - _CHECKSUM_BYTES
    if start > 0 and wire.bytes(Span(start, start + len(_CHECKSUM))) == _CHECKSUM:
        return start
    return wire.size


def _value(wire: WireFile, value: Field) -> Tuple[str, TensorHeader, Span]:
    if value.number != _VALUE:
        raise WireError(f"a checkpoint has no field {value.number}")
    span = value.span
    name, dtype = "", ""
    dims: Tuple[int, ...] = ()
    content = Span(span.start, span.start)
    for field in wire.fields(span):
        if field.number == _TAG:
            name = wire.text(field.span)
        elif field.number == _TENSOR:
            for part in wire.fields(field.span):
                if part.number == _DIMS:
                    dims += tuple(wire.numbers(part))
                elif part.number == _TYPE:
                    dtype = wire.text(part.span)
                elif part.number == _CONTENT:
                    content = part.span
    if not name:
        raise WireError(f"the value at byte {span.start} has no name")
    # One dimension of 0 is how older versions write a scalar.
    return name, TensorHeader(dtype=dtype, shape=() if dims == (0,) else dims), content


def _check_content(path: str, name: str, header: TensorHeader, length: int) -> None:
    item = _ITEM_BYTES.get(header.dtype)
    if item is None:
        return
    wanted = item * math.prod(header.shape)
    if length != wanted:
        raise ShardError(f"{path}: {name} should have {wanted} bytes ({header.dtype} {header.shape}), but has {length}")


def file_size(path: str) -> int:
    """Return a file's size in bytes. Raises ShardError when it can't be seen."""
    try:
        return os.stat(path).st_size
    except OSError as error:
        raise ShardError(f"{path}: {error.strerror}") from error
