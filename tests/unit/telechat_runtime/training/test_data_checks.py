# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from dataclasses import replace
from typing import Any, Dict, Optional

import pytest
import yaml

from telechat_runtime.plan.data_facts import DataLook
from telechat_runtime.remote.answers.probe import CheckpointFacts, DatasetFacts, FolderFacts
from telechat_runtime.training.config import read_training_config
from telechat_runtime.training.data_checks import (
    Saving,
    disk_problem,
    global_batch,
    reads_mindrecord,
    row_problems,
    saving,
    shard_problem,
    shared_problems,
)
from telechat_runtime.training.memory import GIB
from telechat_runtime.training.parallel_mode import ParallelMode
from tests.support.published_yaml import PUBLISHED

VALUES: Dict[str, Any] = yaml.safe_load(PUBLISHED["7b"])
CONFIG = read_training_config(VALUES)


def data(*lengths: int, rows: int = 1000, problem: Optional[str] = None) -> DataLook:
    return DataLook(dataset=DatasetFacts(files=1, rows=None if problem else rows, row_lengths=lengths, problem=problem))


def folder(**changes: Any) -> DataLook:
    look = replace(FolderFacts(inode=2, changed_ns=3, filesystem="ext4", free_bytes=5), **changes)
    return DataLook(folders=(("/s", look),))


def test_rows_are_one_longer_than_the_models_sequence() -> None:
    assert list(row_problems(CONFIG, {"node0": data(8193), "node1": DataLook()}, cards=8)) == []
    assert list(row_problems(CONFIG, {"node0": data(8193), "node1": data(4097, 8193)}, cards=8)) == [
        "node1: the dataset has rows of 4097 ids; seq_length 8192 needs 8193, one more for the label of the last"
    ]
    assert list(row_problems(CONFIG, {"node0": data(8192)}, cards=8)) != []


def test_a_model_of_another_kind_may_take_rows_of_its_own_length() -> None:
    config = replace(CONFIG, architecture="GPT2LMHeadModel")
    assert list(row_problems(config, {"node0": data(8192), "node1": data(8193)}, cards=8)) == []
    assert len(list(row_problems(config, {"node0": data(4096)}, cards=8))) == 1


def test_a_dataset_that_can_not_be_read_or_is_too_small() -> None:
    looks = {"node0": data(problem="/d: no MindRecord file"), "node1": data(8193, rows=7)}
    assert list(row_problems(CONFIG, looks, cards=8)) == [
        "node0: /d: no MindRecord file", "node1: the dataset has 7 rows, and one step takes 8",
    ]  # fmt: skip


@pytest.mark.parametrize(("model", "cards", "rows"), [("7b", 8, 8), ("35b", 16, 32), ("115b", 512, 64), ("7b", 1, 1)])
def test_the_rows_of_one_step(model: str, cards: int, rows: int) -> None:
    assert global_batch(read_training_config(yaml.safe_load(PUBLISHED[model])), cards) == rows


def test_only_mindrecord_files_are_measured() -> None:
    assert reads_mindrecord(VALUES)
    assert not reads_mindrecord({"train_dataset": {"data_loader": {"type": "BlendedMegatronDatasetDataLoader"}}})
    assert not reads_mindrecord({})


def test_a_shared_folder_is_one_folder() -> None:
    assert list(shared_problems(["/s"], {"node0": folder(), "node1": folder()})) == []
    assert list(shared_problems(["/s"], {"node0": folder(), "node1": folder(inode=7), "node2": folder()})) == [
        "/s (telechat_shared_paths) is not the same folder on node0 (ext4) and on node1 (ext4)"
    ]
    assert list(shared_problems(["/s"], {"node0": folder(), "node1": DataLook(folders=(("/s", None),))})) == [
        "/s (telechat_shared_paths) is not there on node1"
    ]


def test_what_a_job_writes() -> None:
    each = 16 * 7_617_351_680
    assert saving(CONFIG, VALUES, cards=8, rows=None) == Saving(each_bytes=each, kept=300)
    # 10 epochs of 1500 steps each, one checkpoint every 1500 steps.
    assert saving(CONFIG, VALUES, cards=8, rows=12000) == Saving(each_bytes=each, kept=10)
    assert saving(CONFIG, VALUES, cards=8, rows=8) == Saving(each_bytes=each, kept=1)
    assert saving(CONFIG, {**VALUES, "only_save_strategy": True}, cards=8, rows=8) is None
    assert saving(CONFIG, {**VALUES, "callbacks": [{"type": "MFLossMonitor"}]}, cards=8, rows=8) is None


def test_every_worker_of_a_model_that_is_not_cut_writes_all_of_it() -> None:
    config = replace(CONFIG, mode=ParallelMode.DATA, training=replace(CONFIG.training, parallel_optimizer=False))
    wanted = saving(config, VALUES, cards=2, rows=None)
    assert wanted is not None
    assert wanted.each_bytes == 2 * 16 * 7_617_351_680


def test_room_for_the_checkpoints_that_are_kept() -> None:
    assert disk_problem(Saving(each_bytes=GIB, kept=3), 3 * GIB, "/j") is None
    assert disk_problem(Saving(each_bytes=GIB, kept=3), 2 * GIB, "/j") == (
        "/j has 2.0 GiB free; 3 checkpoints of 1.0 GiB each are kept there, and 2 fit"
    )


@pytest.mark.parametrize(
    ("ranks", "empty", "problem"),
    [
        ((0, 1), (), None),
        ((0, 1, 2), (), "it is cut for 3 ranks, and the job has 2"),
        ((0, 2), (), "it is cut for 2 ranks, and the job has 2"),
        ((0, 1), (1,), "it has no checkpoint file for rank 1"),
    ],
)
def test_shards_against_cards(ranks: Any, empty: Any, problem: Optional[str]) -> None:
    assert shard_problem(CheckpointFacts(kind="ranks", ranks=ranks, empty=empty), 2) == problem
