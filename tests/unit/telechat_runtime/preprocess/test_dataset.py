# SPDX-License-Identifier: Apache-2.0
"""What is refused before anything is read or written."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest

from telechat_runtime.errors import DataError, JobFailedError, SpecError
from telechat_runtime.interrupt import Interrupt
from telechat_runtime.preprocess import dataset
from telechat_runtime.preprocess.dataset import MANIFEST, OnError, PreprocessSpec, make_dataset
from telechat_runtime.preprocess.encoding import Vocabulary
from telechat_runtime.preprocess.records import Shape
from telechat_runtime.preprocess.rows import Row
from tests.support.words import VOCABULARY, encode


@pytest.fixture
def spec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PreprocessSpec:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: object())
    monkeypatch.setattr(dataset, "load_tokenizer", lambda _path: (VOCABULARY, encode))
    source = tmp_path / "in.jsonl"
    source.write_text('{"input": "q", "output": "a"}\n')
    tokenizer = tmp_path / "tokenizer.model"
    tokenizer.write_bytes(b"")
    return PreprocessSpec(inputs=(str(source),), tokenizer=str(tokenizer), max_length=16, output=str(tmp_path / "out"))


def refused(spec: PreprocessSpec, kind: Any, **changes: Any) -> str:
    with pytest.raises(kind) as caught:
        make_dataset(dataclasses.replace(spec, **changes), Interrupt(), lambda _done, _all: None)
    assert caught.value.exit_code == (1 if kind is JobFailedError else 3)
    folder = Path(spec.inputs[0]).parent
    assert [each.name for each in folder.iterdir() if each.name.startswith(".")] == []
    return str(caught.value)


class Writer:
    """Takes rows as MindRecord's writer does; it wants MindSpore, this one does not."""

    fingerprint = ""

    def __init__(self, folder: Path, **_: int) -> None:
        self.folder = folder

    def add(self, row: Row) -> None:
        pass

    def finish(self) -> list[str]:
        (self.folder / MANIFEST).mkdir()
        return []


def test_a_folder_that_holds_something_is_not_overwritten(spec: PreprocessSpec, tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").write_text("precious")
    assert "is there already" in refused(spec, SpecError, output=str(tmp_path / "full"))
    assert "is there already" in refused(spec, SpecError, output=spec.inputs[0])
    assert (tmp_path / "full" / "mine").read_text() == "precious"


def test_a_folder_that_can_not_be_made(spec: PreprocessSpec, tmp_path: Path) -> None:
    assert "can't be made" in refused(spec, SpecError, output=str(tmp_path / "none" / "out"))


def test_too_many_shards(spec: PreprocessSpec) -> None:
    assert "--shards 1001 is not between 1 and 1000" in refused(spec, SpecError, shards=1001)


def test_a_machine_without_mindspore(spec: PreprocessSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "mindspore" else object())
    message = refused(spec, SpecError)
    assert "mindspore" in message
    assert "a node's container" in message


def test_a_first_line_that_is_no_record_stops_before_the_work(spec: PreprocessSpec) -> None:
    Path(spec.inputs[0]).write_text('\n{"text": "x"}\n')
    message = refused(spec, DataError)
    assert "in.jsonl:2 has neither `dialog` nor `input` and `output`" in message
    assert "--on-error skip" in message


def test_files_without_a_record(spec: PreprocessSpec) -> None:
    Path(spec.inputs[0]).write_text("\n\n")
    assert "has no record" in refused(spec, DataError)


def test_records_of_which_none_fits(spec: PreprocessSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dataset, "DatasetWriter", Writer)
    long = json.dumps({"input": "q", "output": "a" * 40})
    Path(spec.inputs[0]).write_text(f"{long}\n{long}\nno json\n")
    message = refused(spec, DataError, on_error=OnError.SKIP)
    assert "none of the 3 records is in a row: 2 are too long for --max-length 16, 1 are malformed" in message


def test_a_folder_that_can_not_be_written(spec: PreprocessSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dataset, "DatasetWriter", Writer)
    assert "out can't be made: [Errno 21] Is a directory" in refused(spec, JobFailedError)


def test_a_vocabulary_of_another_model() -> None:
    with pytest.raises(DataError, match="has no <_system>, <_pad>: it is not TeleChat2's"):
        Vocabulary(special={"<_user>": 1, "<_bot>": 2, "<_end>": 3}, size=4).check(Shape.DIALOG)
