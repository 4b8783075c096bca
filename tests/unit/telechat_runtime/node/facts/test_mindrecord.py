# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import pytest

from telechat_runtime.node.facts.mindrecord import dataset_files, look
from tests.support.mindrecord_file import write

COLUMNS = {"input_ids": "int32", "labels": "int32"}


def row(length: int) -> dict[str, int]:
    return {"input_ids": length, "labels": length}


def test_rows_and_their_length(tmp_path: Path) -> None:
    file = write(tmp_path / "a.mindrecord", [row(8193)] * 3, COLUMNS)
    assert look(str(file)) == {"files": 1, "rows": 3, "row_lengths": [8193], "problem": None}


@pytest.mark.parametrize("types", [{"input_ids": "int64"}, {"a": "float32", "input_ids": "int32", "labels": "int32"}])
def test_other_columns_beside_or_none(tmp_path: Path, types: dict[str, str]) -> None:
    file = write(tmp_path / "a.mindrecord", [dict.fromkeys(types, 129)], types)
    assert look(str(file))["row_lengths"] == [129]


def test_a_folder_is_read_as_mindformers_does(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    write(tmp_path / "b.mindrecord1", [row(9)], COLUMNS)
    write(tmp_path / "deep" / "a.mindrecord", [row(17)], COLUMNS, total=40)
    (tmp_path / "b.mindrecord1.db").touch()
    (tmp_path / "notes.txt").touch()
    assert dataset_files(str(tmp_path)) == [str(tmp_path / "b.mindrecord1"), str(tmp_path / "deep" / "a.mindrecord")]
    assert look(str(tmp_path)) == {"files": 2, "rows": 41, "row_lengths": [9, 17], "problem": None}


def test_a_file_of_several_that_got_no_row(tmp_path: Path) -> None:
    write(tmp_path / "a.mindrecord0", [row(9)], COLUMNS)
    write(tmp_path / "a.mindrecord1", [], COLUMNS)
    assert look(str(tmp_path)) == {"files": 2, "rows": 1, "row_lengths": [9], "problem": None}


def test_a_folder_without_a_dataset(tmp_path: Path) -> None:
    assert look(str(tmp_path))["problem"] == (
        f"{tmp_path} holds no file that ends in .mindrecord, or .mindrecord and a number"
    )


@pytest.mark.parametrize("data", [b"", b"\x10", b"x" * 100, b"\x04" + bytes(7) + b"null", b"\x02" + bytes(7) + b"{}"])
def test_a_file_that_is_none(tmp_path: Path, data: bytes) -> None:
    file = tmp_path / "a.mindrecord"
    file.write_bytes(data)
    found = look(str(file))
    assert str(found["problem"]).startswith(f"{file}: no MindRecord file")
    assert (found["rows"], found["row_lengths"]) == (None, [])


def test_a_file_cut_short(tmp_path: Path) -> None:
    file = write(tmp_path / "a.mindrecord", [row(9)], COLUMNS)
    with file.open("rb+") as record:
        record.truncate((1 << 24) + 5)
    assert look(str(file))["problem"] == f"{file}: no MindRecord file, or cut short"


def test_a_file_without_ids(tmp_path: Path) -> None:
    file = write(tmp_path / "a.mindrecord", [{"text": 5}], {"text": "int32"})
    assert look(str(file))["problem"] == f"{file}: has no column input_ids"
    file = write(tmp_path / "a.mindrecord", [{"input_ids": 5}], {"input_ids": "float32"})
    assert look(str(file))["problem"] == f"{file}: its column input_ids is float32, not whole numbers"
