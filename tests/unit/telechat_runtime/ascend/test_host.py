# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import os
from pathlib import Path
from typing import List

import pytest

from telechat_runtime.ascend.host import free_bytes, name_error, nearest_folder


def test_a_name_that_resolves_and_one_that_does_not() -> None:
    assert name_error("localhost") is None
    assert name_error("node0.invalid")


def test_a_path_that_is_not_there_yet_counts_for_the_nearest_folder(tmp_path: Path) -> None:
    assert nearest_folder(str(tmp_path / "not" / "yet")) == str(tmp_path)
    (tmp_path / "file").touch()
    assert nearest_folder(str(tmp_path / "file")) == str(tmp_path)
    assert nearest_folder("/") == "/"


def test_the_reserve_of_a_file_system_is_roots(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: List[str] = []

    def statvfs(path: str) -> os.statvfs_result:
        asked.append(path)
        return os.statvfs_result((512, 512, 100, 20, 10, 0, 0, 0, 0, 255))

    monkeypatch.setattr(os, "statvfs", statvfs)
    path = str(tmp_path / "not" / "yet")
    assert (free_bytes(path), free_bytes(path, for_root=True)) == (5120, 10240)
    assert asked == [str(tmp_path)] * 2
