# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import pytest

from telechat_runtime.ascend.atomic_file import read_object, replace_file


@pytest.mark.parametrize("mode", [0o644, 0o600])
def test_a_file_is_replaced_with_the_mode_it_is_to_have(mode: int, tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    path.write_text("old")
    path.chmod(0o666)
    replace_file(str(path), "new \u4e2d\n", mode=mode)
    assert path.read_text(encoding="utf-8") == "new \u4e2d\n"
    assert path.stat().st_mode & 0o777 == mode
    assert list(tmp_path.iterdir()) == [path]


def test_a_reader_of_the_old_file_keeps_it(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    path.write_text("old")
    with path.open() as reader:
        replace_file(str(path), "new")
        assert reader.read() == "old"


def test_a_relative_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    replace_file("hdk.lock.yml", "packages: []\n")
    assert [path.name for path in tmp_path.iterdir()] == ["hdk.lock.yml"]


def test_nothing_is_left_when_it_cannot_be_written(tmp_path: Path) -> None:
    path = tmp_path / "hdk.lock.yml"
    path.mkdir()
    with pytest.raises(OSError, match="directory"):
        replace_file(str(path), "")
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("text", [None, "", "{", "[1]", "\udcff"])
def test_what_is_no_json_object(text: str | None, tmp_path: Path) -> None:
    path = tmp_path / "service.json"
    if text is not None:
        path.write_bytes(text.encode(errors="surrogateescape"))
    assert read_object(str(path)) is None
    path.write_text('{"kind": "maintenance"}')
    assert read_object(str(path)) == {"kind": "maintenance"}
