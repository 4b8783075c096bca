# SPDX-License-Identifier: Apache-2.0
"""What was made of the records: how many, how long, how well the rows are filled."""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field
from typing import Any, Dict

from telechat_runtime.preprocess.rows import Row

_PERCENTILES = (50, 90, 99)


@dataclass
class Statistics:
    """Counts of one run; lengths are in ids and take 4 bytes a record."""

    row_length: int
    packed: int = 0
    too_long: int = 0
    malformed: int = 0
    rows: int = 0
    padding: int = 0
    learned: int = 0
    _lengths: array[int] = field(default_factory=lambda: array("I"))

    def add_record(self, length: int, *, fits: bool) -> None:
        """Count a record that was read."""
        self._lengths.append(length)
        if fits:
            self.packed += 1
        else:
            self.too_long += 1

    def add_row(self, row: Row) -> None:
        """Count a row that was written."""
        self.rows += 1
        self.padding += row.padding
        self.learned += row.learned

    def as_dict(self) -> Dict[str, Any]:
        """Return the counts, as the manifest has them."""
        ids = self.rows * self.row_length
        return {
            "records": {
                "all": self.packed + self.too_long + self.malformed,
                "packed": self.packed,
                "too_long": self.too_long,
                "malformed": self.malformed,
            },
            "rows": self.rows,
            "tokens": {"in_rows": ids, "padding": self.padding, "learned": self.learned},
            "record_lengths": self._length_summary(),
        }

    def _length_summary(self) -> Dict[str, Any]:
        ordered = sorted(self._lengths)
        if not ordered:
            return {}
        summary: Dict[str, Any] = {"min": ordered[0], "mean": round(sum(ordered) / len(ordered), 1)}
        # Nearest rank: the smallest length that so many of a hundred records don't exceed.
        summary.update({f"p{each}": ordered[-(-len(ordered) * each // 100) - 1] for each in _PERCENTILES})
        return {**summary, "max": ordered[-1]}
