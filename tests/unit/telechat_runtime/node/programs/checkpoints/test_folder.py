# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import pytest

from telechat_runtime.node.programs.checkpoints.folder import find_shards
from telechat_runtime.node.programs.checkpoints.shard_file import ShardError


def files(folder: Path, *names: str) -> str:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"")
    return str(folder)


def test_one_file_and_a_folder_with_one_file_are_whole(tmp_path: Path) -> None:
    folder = files(tmp_path / "TeleChat2-7B", "TeleChat2-7B_ms.ckpt", "tokenizer.model")
    by_file, by_folder = find_shards(f"{folder}/TeleChat2-7B_ms.ckpt"), find_shards(f"{folder}/")
    assert not by_file.sliced
    assert by_file.files == by_folder.files == {0: f"{folder}/TeleChat2-7B_ms.ckpt"}
    assert (by_file.name, by_folder.name) == ("TeleChat2-7B_ms", "TeleChat2-7B")


def test_the_newest_step_that_every_rank_has(tmp_path: Path) -> None:
    old = ("rank_0/m_rank_0-1_200.ckpt", "rank_1/m_rank_1-1_200.ckpt", "rank_10/m_rank_10-1_200.ckpt")
    older = ("rank_0/m_rank_0-1_30.ckpt", "rank_1/m_rank_1-1_30.ckpt", "rank_10/m_rank_10-1_30.ckpt")
    folder = files(tmp_path, *old, *older, "rank_0/m_rank_0-2_10.ckpt", "rank_0/meta.json")
    found = find_shards(folder)
    assert found.sliced
    assert found.step == (1, 200)
    assert found.files == {rank: f"{folder}/{name}" for rank, name in zip((0, 1, 10), old)}


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ((), "neither rank_N folders nor a .ckpt file"),
        (("a.ckpt", "b.ckpt"), "2 checkpoint files and no rank_N folder"),
        (("rank_0/a.ckpt", "rank_1/meta.json"), "no .ckpt file for rank 1"),
        (("rank_0/a-1_5.ckpt", "rank_1/a-1_6.ckpt"), "files of different steps: 1_5, 1_6"),
        (("rank_0/a.ckpt", "rank_0/b.ckpt", "rank_1/a.ckpt"), "no -<epoch>_<step> in its name"),
        (("rank_0/a-1_5.ckpt", "rank_0/a-1_6.ckpt", "rank_1/a-1_7.ckpt"), "no step that every rank saved"),
        (("rank_0/a-1_5.ckpt", "rank_0/b-1_5.ckpt", "rank_1/a-1_5.ckpt"), "holds step 1_5 twice"),
    ],
)
def test_folders_that_nobody_can_convert(tmp_path: Path, names: tuple[str, ...], message: str) -> None:
    with pytest.raises(ShardError, match=message):
        find_shards(files(tmp_path / "c", "readme", *names))


def test_a_file_of_another_kind_and_a_path_that_is_missing(tmp_path: Path) -> None:
    with pytest.raises(ShardError, match=r"model\.safetensors is no \.ckpt file"):
        find_shards(f"{files(tmp_path, 'model.safetensors')}/model.safetensors")
    with pytest.raises(ShardError, match="does not exist"):
        find_shards(str(tmp_path / "none"))
