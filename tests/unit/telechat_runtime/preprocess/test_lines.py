# SPDX-License-Identifier: Apache-2.0
"""Each record of the input files is found once, by its line."""

from __future__ import annotations

import hashlib
import os
import random
import tempfile
from pathlib import Path
from typing import List

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telechat_runtime.errors import DataError, InterruptedByUserError
from telechat_runtime.interrupt import Interrupt
from telechat_runtime.preprocess.lines import LineIndex, index_file, read_lines

LINES = st.lists(
    st.sampled_from([b"", b"  ", b"\t", b"{}", b"\xff", b"abc d", "\u2028中".encode(), b"x\ry"]), max_size=12
)


@given(st.lists(st.tuples(LINES, st.booleans(), st.sampled_from([b"\n", b"\r\n"])), min_size=1, max_size=3))
def test_all_lines_but_the_blank_ones_are_records_with_their_numbers(
    files: List[tuple[List[bytes], bool, bytes]],
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        paths, expected = [], []
        for number, (lines, ends, newline) in enumerate(files):
            path = Path(folder, str(number))
            path.write_bytes(newline.join(lines) + (newline if ends else b""))
            paths.append(path)
            expected += [(str(path), at, each) for at, each in enumerate(lines, start=1) if each.strip()]
        index = LineIndex([index_file(str(path), Interrupt()) for path in paths])
        descriptors = [os.open(path, os.O_RDONLY) for path in paths]
        found = [
            (*index.where(each), read_lines(descriptors, index, [each])[0].rstrip(b"\r\n"))
            for each in range(len(index))
        ]
        for descriptor in descriptors:
            os.close(descriptor)
    assert found == expected
    assert [file.sha256 for file in index.files] == [
        hashlib.sha256(newline.join(lines) + (newline if ends else b"")).hexdigest() for lines, ends, newline in files
    ]


def test_a_byte_order_mark_is_no_part_of_the_first_record(tmp_path: Path) -> None:
    path = tmp_path / "bom.jsonl"
    path.write_bytes(b'\xef\xbb\xbf{"a": 1}\n')
    index = LineIndex([index_file(str(path), Interrupt())])
    with path.open("rb") as file:
        assert read_lines([file.fileno()], index, [0]) == [b'{"a": 1}\n']


def test_the_order_is_that_of_random_shuffle(tmp_path: Path) -> None:
    path = tmp_path / "many.jsonl"
    path.write_text("{}\n" * 50)
    expected = list(range(50))
    random.Random(7).shuffle(expected)  # noqa: S311 - an order, not a secret
    assert list(LineIndex([index_file(str(path), Interrupt())]).shuffled(7)) == expected


def test_a_file_that_changes_meanwhile_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "growing.jsonl"
    path.write_text("{}\n")
    indexed = index_file(str(path), Interrupt())
    indexed.check_unchanged()
    path.write_text("{}\n{}\n")
    with pytest.raises(DataError, match="changed while it was read"):
        indexed.check_unchanged()


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="can't be read: No such file"):
        index_file(str(tmp_path / "none"), Interrupt())


def test_the_user_can_stop_the_reading(tmp_path: Path) -> None:
    path = tmp_path / "long.jsonl"
    path.write_text("{}\n")
    interrupt = Interrupt()
    interrupt.request()
    with pytest.raises(InterruptedByUserError):
        index_file(str(path), interrupt)
