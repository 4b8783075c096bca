# SPDX-License-Identifier: Apache-2.0
"""Where the records of JSONL files are: 20 bytes of memory a record, however large the files."""

from __future__ import annotations

import bisect
import hashlib
import os
import random
from array import array
from dataclasses import dataclass
from pathlib import Path
from typing import List, Sequence, Tuple

from telechat_runtime.errors import DataError
from telechat_runtime.interrupt import Interrupt

_BOM = b"\xef\xbb\xbf"
_LOOK_EVERY = 1 << 14
_LARGEST_SMALL_INDEX = 1 << 32


@dataclass(frozen=True)
class FileLines:
    """One input file as it was when it was indexed: offset and length of each line that is not blank.

    `blanks` has, for each blank line, how many records stand before it.
    """

    path: str
    size: int
    modified: int
    sha256: str
    offsets: array[int]
    lengths: array[int]
    blanks: array[int]

    def line_number(self, record: int) -> int:
        """Return the number of a record's line, from 1."""
        return record + 1 + bisect.bisect_right(self.blanks, record)

    def check_unchanged(self) -> None:
        """Raise DataError when the file is no longer what was indexed."""
        status = Path(self.path).stat()
        if (status.st_size, status.st_mtime_ns) != (self.size, self.modified):
            raise DataError(f"{self.path} changed while it was read", next_step="run again when nothing writes to it")


def index_file(path: str, interrupt: Interrupt) -> FileLines:
    """Read a file once, from its beginning to its end.

    Raises:
        DataError: The file can't be read.
        InterruptedByUserError: The user wants to stop.

    """
    offsets, lengths, blanks = array("Q"), array("Q"), array("Q")
    digest = hashlib.sha256()
    place = 0
    try:
        with Path(path).open("rb") as file:
            status = os.fstat(file.fileno())
            for number, line in enumerate(file):
                if not number % _LOOK_EVERY:
                    interrupt.check(f"reading {path}")
                digest.update(line)
                skipped = len(_BOM) if not number and line.startswith(_BOM) else 0
                if line[skipped:].isspace() or len(line) == skipped:
                    blanks.append(len(offsets))
                else:
                    offsets.append(place + skipped)
                    lengths.append(len(line) - skipped)
                place += len(line)
    except OSError as error:
        raise DataError(f"{path} can't be read: {error.strerror}") from error
    return FileLines(
        path=path,
        size=place,
        modified=status.st_mtime_ns,
        sha256=digest.hexdigest(),
        offsets=offsets,
        lengths=lengths,
        blanks=blanks,
    )


class LineIndex:
    """The records of all files, numbered from 0 in the order of the files."""

    def __init__(self, files: Sequence[FileLines]) -> None:
        self.files = tuple(files)
        self._first = [0]
        for file in self.files:
            self._first.append(self._first[-1] + len(file.offsets))

    def __len__(self) -> int:
        return self._first[-1]

    def place(self, record: int) -> Tuple[int, int, int]:
        """Return the number of the record's file, its offset there and its length."""
        number, own = self._own(record)
        file = self.files[number]
        return number, file.offsets[own], file.lengths[own]

    def where(self, record: int) -> Tuple[str, int]:
        """Return the file and the line, from 1, of a record."""
        number, own = self._own(record)
        return self.files[number].path, self.files[number].line_number(own)

    def shuffled(self, seed: int) -> array[int]:
        """Return the order of packing: what `random.Random(seed).shuffle` makes of the order of the files."""
        order = array("I" if len(self) < _LARGEST_SMALL_INDEX else "Q", range(len(self)))
        random.Random(seed).shuffle(order)  # noqa: S311 - an order to reproduce, not a secret
        return order

    def _own(self, record: int) -> Tuple[int, int]:
        number = bisect.bisect_right(self._first, record) - 1
        return number, record - self._first[number]


def read_lines(descriptors: Sequence[int], index: LineIndex, records: Sequence[int]) -> List[bytes]:
    """Return the lines of these records; a file cut short meanwhile gives short lines, which no reader takes."""
    lines = []
    for record in records:
        number, offset, length = index.place(record)
        lines.append(os.pread(descriptors[number], length, offset))
    return lines
