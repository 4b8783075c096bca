# SPDX-License-Identifier: Apache-2.0
"""Names, types and shapes of a `.safetensors` file, by its header alone.

Format (huggingface.co/docs/safetensors): eight bytes with the header's length, little end first; the header, a JSON
object of `name -> {dtype, shape, data_offsets}`; then the data, to the file's end.
"""

from __future__ import annotations

import json
from typing import Any, BinaryIO, Collection, Dict

from telechat_runtime.node.programs.checkpoints.shard_file import Shard, ShardError, TensorHeader, is_whole_number

_LENGTH_BYTES = 8
_MAX_HEADER_BYTES = 100 << 20  # the format's own limit
_METADATA = "__metadata__"
_DTYPES = {
    "BOOL": "Bool",
    "I8": "Int8",
    "U8": "UInt8",
    "I16": "Int16",
    "U16": "UInt16",
    "F16": "Float16",
    "BF16": "BFloat16",
    "I32": "Int32",
    "U32": "UInt32",
    "F32": "Float32",
    "I64": "Int64",
    "U64": "UInt64",
    "F64": "Float64",
}


def read_safetensors(path: str, numbers: Collection[str] = ()) -> Shard:
    """Return the parameters of a file, and see that the bytes of each are all there; `numbers` as read_shard has them.

    Raises ShardError.
    """
    try:
        with open(path, "rb") as file:
            return _read(file, numbers)
    except OSError as error:
        raise ShardError(f"{path}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise ShardError(f"{path} is cut off or no safetensors file: {error}") from error


def _read(file: BinaryIO, numbers: Collection[str]) -> Shard:
    length = int.from_bytes(file.read(_LENGTH_BYTES), "little")
    if not 0 < length <= _MAX_HEADER_BYTES:
        raise ValueError(f"a header of {length} bytes")
    entries: Dict[str, Any] = json.loads(file.read(length))
    begin = _LENGTH_BYTES + length
    headers: Dict[str, TensorHeader] = {}
    found: Dict[str, int] = {}
    end = 0
    for name, entry in entries.items():
        if name == _METADATA:
            continue
        headers[name] = TensorHeader(_DTYPES.get(entry["dtype"], entry["dtype"]), tuple(entry["shape"]))
        first, last = entry["data_offsets"]
        end = max(end, last)
        if name in numbers and is_whole_number(headers[name]):
            file.seek(begin + first)
            found[name] = int.from_bytes(file.read(last - first), "little", signed=True)
    size = file.seek(0, 2)
    if size != begin + end:
        raise ValueError(f"it should have {begin + end} bytes, but has {size}")
    if not headers:
        raise ValueError("it holds no parameter")
    return Shard(headers, found)
