# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import base64
import hashlib
from pathlib import Path
from typing import Any, Dict, List

import pytest

from telechat_runtime.errors import PreflightError, UsageError
from telechat_runtime.node import read


def answers(root: Path, path: Any) -> List[Dict[str, Any]]:
    events: List[Dict[str, Any]] = []
    assert read.run({"job_root": str(root), "job_id": "predict-1", "path": path}, events.append) == 0
    return events


@pytest.fixture
def work(tmp_path: Path) -> Path:
    folder = tmp_path / "jobs/predict-1/work"
    folder.mkdir(parents=True)
    (tmp_path / "secret").write_text("secret")
    return folder


@pytest.mark.parametrize("size", [0, 1, 1_000_000])
def test_a_file_in_pieces_with_its_checksum(work: Path, tmp_path: Path, size: int) -> None:
    content = bytes(index % 251 for index in range(size))
    (work / "arrays").mkdir()
    (work / "arrays/0.npz").write_bytes(content)
    *data, end = answers(tmp_path, "arrays/0.npz")
    assert b"".join(base64.b64decode(event["base64"]) for event in data) == content
    assert end == {"event": "end", "sha256": hashlib.sha256(content).hexdigest()}
    assert all(len(event["base64"]) <= 1 << 19 for event in data)


@pytest.mark.parametrize("path", ["../../../secret", "/etc/passwd", "link", "", None, "a\0b"])
def test_nothing_outside_of_the_work_folder(work: Path, tmp_path: Path, path: Any) -> None:
    (work / "link").symlink_to(tmp_path / "secret")
    with pytest.raises(UsageError):
        answers(tmp_path, path)


@pytest.mark.parametrize("path", ["results.jsonl", "folder"])
def test_a_file_that_is_not_there(work: Path, tmp_path: Path, path: str) -> None:
    (work / "folder").mkdir()
    with pytest.raises(PreflightError, match=f"job predict-1 has no file {path} here"):
        answers(tmp_path, path)
