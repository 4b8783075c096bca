# SPDX-License-Identifier: Apache-2.0
"""Which records share a row: decided from their lengths alone, in the order in which they come."""

from __future__ import annotations

import enum

from telechat_runtime.preprocess.records import Shape


class Place(enum.Enum):
    """Where a record goes."""

    JOINS = "joins the row that is open"
    OPENS = "closes the row that is open, if any, and opens the next"
    LEFT_OUT = "is longer than a row; the open row stays open"
    LEFT_OUT_CLOSES = "is longer than a row, and closes the row that is open, if any"


class Packer:
    """Greedy packing into rows of `max_length` + 1 ids, by the rule of one record shape.

    `dialog`: a row may be filled to its last id, and a record that is too long changes nothing. `input/output`: at
    least one id of padding stays in each row, and a record that is too long closes the open row. So upstream packs.
    """

    def __init__(self, shape: Shape, max_length: int) -> None:
        self.row_length = max_length + 1
        self.capacity = self.row_length if shape is Shape.DIALOG else max_length
        self._too_long = Place.LEFT_OUT if shape is Shape.DIALOG else Place.LEFT_OUT_CLOSES
        self._used = 0

    def place(self, length: int) -> Place:
        """Return where a record of `length` ids goes, and remember it."""
        if length > self.capacity:
            if self._too_long is Place.LEFT_OUT_CLOSES:
                self._used = 0
            return self._too_long
        if self._used and self._used + length <= self.capacity:
            self._used += length
            return Place.JOINS
        self._used = length
        return Place.OPENS
