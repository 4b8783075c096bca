# SPDX-License-Identifier: Apache-2.0
"""Writes files of the shape that MindSpore's FileWriter gives a MindRecord; all but what is read is left out."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Dict, Sequence

_START = 1 << 24
_PAGE = 1 << 25


def write(path: Path, rows: Sequence[Dict[str, int]], types: Dict[str, str], *, total: int | None = None) -> Path:
    """Write rows whose columns have these lengths; the file is sparse, as long as its header and one page."""
    fields = sorted(types)
    page = b"".join(_row([(types[name], row[name]) for name in fields]) for row in rows)
    header = {
        "header_size": _START,
        "page": [
            {"page_type": "BLOB_DATA", "page_id": 0, "page_size": len(page), "end_row_id": total or len(rows)},
            {"page_type": "RAW_DATA", "page_id": 1, "page_size": 13, "end_row_id": 0},
        ]
        if rows
        else None,
        "page_size": _PAGE,
        "schema": [{"blob_fields": fields, "schema": {name: {"type": kind} for name, kind in types.items()}}],
    }
    text = json.dumps(header).encode()
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        if not rows:
            return path
        file.seek(_START)
        file.write(page)
        file.truncate(_START + _PAGE)
    return path


def _row(columns: Sequence[tuple[str, int]]) -> bytes:
    values = [_column(kind, length) for kind, length in columns]
    if len(values) > 1:
        values = [struct.pack(">Q", len(value)) + value for value in values]
    data = b"".join(values)
    return struct.pack("<Q", len(data)) + data


def _column(kind: str, length: int) -> bytes:
    if kind.startswith("int"):
        return struct.pack(">I", length) + bytes(34 + length)
    return bytes(4 * length)
