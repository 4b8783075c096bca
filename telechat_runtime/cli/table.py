# SPDX-License-Identifier: Apache-2.0
"""Lays rows out in columns, for reading and for cutting with awk."""

from __future__ import annotations

from typing import Sequence


def table_text(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return head and rows as left-aligned columns, two blanks apart; an empty cell is shown as -."""
    cells = [list(head), *([cell or "-" for cell in row] for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(head))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in cells)
