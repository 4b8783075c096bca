# SPDX-License-Identifier: Apache-2.0
"""How long the rows of a MindRecord dataset are, read from its files alone: no MindSpore, a few reads a file.

A MindRecord file is a header (length as 8 bytes, little-endian, then JSON) and pages of one size. Rows with arrays lie
in pages of type BLOB_DATA: length of the row (8 bytes, little-endian), then its columns in the order of `blob_fields`,
each after its length (8 bytes, big-endian) unless it is alone. A column of whole numbers starts with how many there are
(4 bytes, big-endian). Seen in files of MindSpore 2.7; a file of another shape is reported, never guessed at.
"""

from __future__ import annotations

import json
import os
import re
import struct
from typing import Any, BinaryIO, Dict, List, Set

# As MindFormers' CausalLanguageModelDataset finds the files of a folder.
_NAME = re.compile(r"mindrecord\d*$")
COLUMN = "input_ids"
_LONGEST_HEADER = 1 << 26
_ROWS_READ = 64


class MindRecordError(Exception):
    """A file is no MindRecord, or not one that can be told by its bytes; the text goes on after the file's name."""


def look(path: str) -> Dict[str, Any]:
    """Return how many files and rows a dataset has, and the lengths of `input_ids` in the first rows of each file."""
    files = dataset_files(path)
    rows = 0
    lengths: Set[int] = set()
    for file in files:
        try:
            with open(file, "rb") as record:
                header = _header(record)
                rows += _rows(header)
                lengths |= _row_lengths(record, header)
        except (OSError, MindRecordError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            return {"files": len(files), "rows": None, "row_lengths": [], "problem": f"{file}: {reason}"}
    problem = None if files else f"{path} holds no file that ends in .mindrecord, or .mindrecord and a number"
    return {"files": len(files), "rows": rows, "row_lengths": sorted(lengths), "problem": problem}


def dataset_files(path: str) -> List[str]:
    """Return the files that MindFormers takes for the dataset: the file, or those of a folder and the folders in it."""
    if not os.path.isdir(path):
        return [path]
    return sorted(
        os.path.join(folder, name) for folder, _, names in os.walk(path) for name in names if _NAME.search(name)
    )


def _header(record: BinaryIO) -> Dict[str, Any]:
    (length,) = struct.unpack("<Q", _read(record, 8))
    if not 0 < length < _LONGEST_HEADER:
        raise MindRecordError("no MindRecord file")
    try:
        header = json.loads(_read(record, length))
        fields = header["schema"][0]["blob_fields"]
        types = header["schema"][0]["schema"]
        shown = {
            "fields": list(fields),
            "types": {name: str(types[name]["type"]) for name in fields},
            # FileWriter spreads rows over its files by threads; one that got none has null here.
            "pages": [page for page in header["page"] or () if page["page_type"] == "BLOB_DATA"],
            "start": int(header["header_size"]),
            "page_size": int(header["page_size"]),
        }
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise MindRecordError("no MindRecord file, or one of another version") from error
    return shown


def _rows(header: Dict[str, Any]) -> int:
    return max((int(page["end_row_id"]) for page in header["pages"]), default=0)


def _row_lengths(record: BinaryIO, header: Dict[str, Any]) -> Set[int]:
    if COLUMN not in header["fields"]:
        raise MindRecordError(f"has no column {COLUMN}")
    if not header["types"][COLUMN].startswith("int"):
        raise MindRecordError(f"its column {COLUMN} is {header['types'][COLUMN]}, not whole numbers")
    lengths: Set[int] = set()
    for page in header["pages"][:1]:
        place = header["start"] + header["page_size"] * int(page["page_id"])
        end = place + int(page["page_size"])
        read = 0
        while place < end and read < _ROWS_READ:
            record.seek(place)
            (length,) = struct.unpack("<Q", _read(record, 8))
            lengths.add(_count(record, header["fields"]))
            place += 8 + length
            read += 1
    return lengths


def _count(record: BinaryIO, fields: List[str]) -> int:
    """Return the length of the row's column; the file stands at the row's first column."""
    if len(fields) > 1:
        for name in fields:
            (length,) = struct.unpack(">Q", _read(record, 8))
            if name == COLUMN:
                break
            record.seek(length, os.SEEK_CUR)
    (count,) = struct.unpack(">I", _read(record, 4))
    return int(count)


def _read(record: BinaryIO, length: int) -> bytes:
    data = record.read(length)
    if len(data) < length:
        raise MindRecordError("no MindRecord file, or cut short")
    return data
