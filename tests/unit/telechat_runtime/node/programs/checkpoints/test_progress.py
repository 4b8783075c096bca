# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from pathlib import Path

import pytest

from telechat_runtime.node.programs.checkpoints.conversion import ConversionError, rank_file
from telechat_runtime.node.programs.checkpoints.progress import NAME, Progress, remove_parts


def make(folder: Path, rank: int, content: bytes = b"x") -> None:
    path = Path(rank_file(str(folder), rank))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def test_the_next_run_knows_what_is_done(tmp_path: Path) -> None:
    folder = tmp_path / "c"
    first = Progress(str(folder), "f")
    make(folder, 0)
    make(folder, 1)
    first.record(0)
    again = Progress(str(folder), "f")
    assert [again.is_done(rank) for rank in range(3)] == [True, False, False]
    again.record(1)
    assert again.complete() == 2
    assert json.loads((folder / NAME).read_text())["complete"] is True


def test_a_file_that_is_gone_or_has_another_size_is_made_again(tmp_path: Path) -> None:
    progress = Progress(str(tmp_path), "f")
    make(tmp_path, 0)
    make(tmp_path, 1)
    progress.record(0)
    progress.record(1)
    make(tmp_path, 0, b"cut off, or more")
    Path(rank_file(str(tmp_path), 1)).unlink()
    assert not progress.is_done(0)
    assert not progress.is_done(1)


def test_a_folder_with_something_else_is_left_alone(tmp_path: Path) -> None:
    make(tmp_path, 0)
    with pytest.raises(ConversionError, match="holds rank_0, but is no conversion: give another --output"):
        Progress(str(tmp_path), "f")


def test_a_folder_with_another_conversion(tmp_path: Path) -> None:
    make(tmp_path / "c", 0)
    (tmp_path / "c" / NAME).write_text(json.dumps({"fingerprint": "g", "complete": True, "bytes": {}}))
    with pytest.raises(ConversionError, match="another strategy: remove it, or give another --output"):
        Progress(str(tmp_path / "c"), "f")


@pytest.mark.parametrize("text", ["", "[]", "{}"])
def test_a_record_that_is_broken(tmp_path: Path, text: str) -> None:
    (tmp_path / NAME).write_text(text)
    with pytest.raises(ConversionError, match=NAME):
        Progress(str(tmp_path), "f")


def test_half_written_files_go_and_nothing_else(tmp_path: Path) -> None:
    make(tmp_path, 0)
    (tmp_path / "rank_0/.part-checkpoint_0.ckpt").write_bytes(b"")
    (tmp_path / ".part-joined").mkdir()
    (tmp_path / ".part-joined/whole.ckpt").write_bytes(b"")
    remove_parts(str(tmp_path))
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["checkpoint_0.ckpt", "rank_0"]
