# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any, Dict

import pytest

from telechat_runtime.errors import UsageError
from telechat_runtime.node.facts import shared_folders

MARKER = ".telechat-doctor-0123456789ab"


def look(action: str, *folders: Path, marker: str = MARKER) -> Dict[str, Any]:
    wish = {"action": action, "marker": marker, "paths": [str(folder) for folder in folders]}
    return shared_folders.look({"shared_folders": wish})


def test_a_marker_is_put_found_and_removed(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    assert look("put", tmp_path)[str(tmp_path)] == {"error": None, "found": True}
    assert look("find", tmp_path, other) == {
        str(tmp_path): {"error": None, "found": True},
        str(other): {"error": None, "found": False},
    }
    look("remove", tmp_path)
    assert [entry.name for entry in tmp_path.iterdir()] == ["other"]


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    for action in ("put", "find"):
        assert look(action, tmp_path / "no")[str(tmp_path / "no")] == {"error": "no such folder", "found": False}


def test_an_old_marker_is_taken_away_and_nothing_else(tmp_path: Path) -> None:
    old, new, data = (tmp_path / name for name in (".telechat-doctor-ffffffffffff", ".telechat-doctor-ee", "data"))
    for path in (old, new, data):
        path.touch()
    for path in (old, data):
        os.utime(path, (time.time() - 7200,) * 2)
    look("put", tmp_path)
    assert (old.exists(), new.exists(), data.exists()) == (False, True, True)


@pytest.mark.parametrize("request_", [{}, {"shared_folders": {"action": "drop", "marker": MARKER}}])
def test_a_request_that_is_none(request_: Dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="no shared_folders"):
        shared_folders.look(request_)


def test_a_marker_names_a_file_of_the_folder_itself(tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        look("remove", tmp_path, marker="../important")
