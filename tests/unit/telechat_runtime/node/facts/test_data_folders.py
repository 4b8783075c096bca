# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import pytest

from telechat_runtime.node.facts import data_folders
from telechat_runtime.node.facts.data_folders import identify, look_at_checkpoint

MOUNTS = (
    "1 0 8:1 / / rw - ext4 /dev/sda1 rw\n2 1 0:5 / {shared} rw,relatime shared:1 - nfs4 nas:/export rw\n"
    "3 1 0:6 / {shared}2 rw - xfs /dev/sdb rw\n"
)


def test_a_checkpoint_in_one_file(tmp_path: Path) -> None:
    file = tmp_path / "w.ckpt"
    file.touch()
    assert look_at_checkpoint(str(file)) == {"kind": "file", "ranks": [], "empty": []}
    assert look_at_checkpoint(str(tmp_path)) == {"kind": "folder", "ranks": [], "empty": []}
    assert look_at_checkpoint(str(tmp_path / "none")) is None


def test_a_checkpoint_cut_for_ranks(tmp_path: Path) -> None:
    for rank in (0, 1, 10):
        (tmp_path / f"rank_{rank}").mkdir()
    (tmp_path / "rank_0" / "a.ckpt").touch()
    (tmp_path / "rank_10" / "a.safetensors").touch()
    (tmp_path / "rank_1" / "meta.json").touch()
    (tmp_path / "rank_2").touch()
    assert look_at_checkpoint(str(tmp_path)) == {"kind": "ranks", "ranks": [0, 1, 10], "empty": [1]}


def test_two_names_of_one_folder_and_two_folders(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "a")
    first, second, link = (identify(str(tmp_path / name)) for name in ("a", "b", "link"))
    assert first
    assert second
    assert link
    assert link["inode"] == first["inode"] != second["inode"]
    assert first["free_bytes"] > 0
    assert identify(str(tmp_path / "none")) is None
    assert list((tmp_path / "a").iterdir()) == []


def test_the_filesystem_is_that_of_the_longest_mount_point(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shared = tmp_path / "sha red"
    for folder in (shared / "x", tmp_path / "sha red2", tmp_path / "own"):
        folder.mkdir(parents=True)
    mounts = tmp_path / "mountinfo"
    mounts.write_text(MOUNTS.format(shared=str(shared).replace(" ", r"\040")))
    monkeypatch.setattr(data_folders, "_MOUNTS", str(mounts))
    found = [identify(str(folder)) for folder in (shared / "x", shared, tmp_path / "sha red2", tmp_path / "own")]
    assert [folder["filesystem"] for folder in found if folder] == ["nfs4", "nfs4", "xfs", "ext4"]
