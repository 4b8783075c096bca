# SPDX-License-Identifier: Apache-2.0
"""Rows of input_ids and labels, filled from encoded records."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Iterator, List, Optional, Tuple

from telechat_runtime.preprocess.encoding import Encoded
from telechat_runtime.preprocess.packing import Packer, Place
from telechat_runtime.preprocess.records import Shape

IGNORED = -100


@dataclass(frozen=True)
class Sample:
    """One encoded record: its ids as an int32 array, its learned stretches, the <_start> tokens it adds to the row."""

    ids: Any
    spans: Tuple[Tuple[int, int], ...]
    starts: int

    def __len__(self) -> int:
        return len(self.ids) + self.starts


@dataclass(frozen=True)
class Row:
    """One row, as two int32 arrays of the row's length, and what is in it."""

    input_ids: Any
    labels: Any
    padding: int
    learned: int


def samples(encoded: Encoded) -> Iterator[Optional[Sample]]:
    """Yield the records of a chunk, None for a malformed one."""
    import numpy as np  # noqa: PLC0415 - comes with MindSpore

    ids = np.frombuffer(encoded.ids, np.int32) if encoded.ids else np.empty(0, np.int32)
    begin = span = 0
    for number, length in enumerate(encoded.lengths):
        last = span + encoded.spans[number]
        if number in encoded.malformed:
            yield None
        else:
            yield Sample(
                ids=ids[begin : begin + length],
                spans=tuple(zip(encoded.begins[span:last], encoded.ends[span:last])),
                starts=encoded.starts[number],
            )
        begin, span = begin + length, last


class RowFiller:
    """Puts samples into rows; padding stands on the right for `dialog`, on the left for `input/output`.

    On the left, all <_start> tokens of a row follow the padding and the turns follow them: so upstream's rows are.
    """

    def __init__(self, shape: Shape, max_length: int, *, pad: int, start: int) -> None:
        self._packer = Packer(shape, max_length)
        self._left = shape is Shape.INPUT_OUTPUT
        self._pad, self._start = pad, start
        self._open: List[Sample] = []

    @property
    def capacity(self) -> int:
        """Return how many ids of records a row takes."""
        return self._packer.capacity

    def add(self, sample: Sample) -> Tuple[bool, Optional[Row]]:
        """Take a sample; return whether it found a place, and the row that it closed, if any."""
        place = self._packer.place(len(sample))
        if place is Place.JOINS:
            self._open.append(sample)
            return True, None
        if place is Place.LEFT_OUT:
            return False, None
        closed = self.finish()
        if place is Place.OPENS:
            self._open.append(sample)
        return place is Place.OPENS, closed

    def finish(self) -> Optional[Row]:
        """Close the open row and return it, None when nothing is in it."""
        if not self._open:
            return None
        import numpy as np  # noqa: PLC0415 - comes with MindSpore

        length = self._packer.row_length
        padding = length - sum(map(len, self._open))
        row: Any = np.full(length, self._pad, np.int32)
        labels: Any = np.full(length, IGNORED, np.int32)
        place, learned = 0, 0
        if self._left:
            starts = sum(sample.starts for sample in self._open)
            place = padding + starts
            row[padding:place] = self._start
        for sample in self._open:
            end = place + len(sample.ids)
            row[place:end] = sample.ids
            for first, last in sample.spans:
                labels[place + first : place + last] = sample.ids[first:last]
                learned += last - first
            place = end
        self._open = []
        return Row(input_ids=row, labels=labels, padding=padding, learned=learned)
