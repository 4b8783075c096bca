# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from dataclasses import replace
from typing import Any, Dict, Optional

import pytest
import yaml

from telechat_runtime.errors import PreflightError
from telechat_runtime.remote.answers.probe import CheckpointFacts
from telechat_runtime.training.checkpoint_transform import Start, choose_transform
from telechat_runtime.training.config import read_training_config
from telechat_runtime.training.document import Setting
from telechat_runtime.training.parallel_mode import ParallelMode
from tests.support.published_yaml import PUBLISHED

VALUES: Dict[str, Any] = yaml.safe_load(PUBLISHED["7b"])
CONFIG = read_training_config(VALUES)
WHOLE = CheckpointFacts(kind="file", ranks=(), empty=())
CUT = CheckpointFacts(kind="ranks", ranks=tuple(range(8)), empty=())
FOLDER = CheckpointFacts(kind="folder", ranks=(), empty=())
START = Start(cards=8, nodes=1, shared_paths=(), job_id="finetune-1")
TWO_NODES = Start(cards=16, nodes=2, shared_paths=("/shared/",), job_id="finetune-1")
OUTPUT = Setting("output_dir", "/shared/finetune-1", reason="all nodes read the weights that rank 0 cuts into it")


def choose(look: Optional[CheckpointFacts], start: Start = START, wish: Optional[str] = None, **values: Any) -> Any:
    return choose_transform(CONFIG, {**VALUES, **values}, look, start, wish)


def test_whole_weights_are_cut_at_the_start() -> None:
    settings, notes = choose(WHOLE)
    assert settings == [Setting("auto_trans_ckpt", True)]
    assert notes == ["checkpoint transform auto: the checkpoint is not cut for this job's cards"]


def test_weights_that_are_cut_already_are_taken_as_they_are() -> None:
    settings, notes = choose(CUT, auto_trans_ckpt=True)
    assert settings == [Setting("auto_trans_ckpt", False)]
    assert notes == ["checkpoint transform offline: the checkpoint is cut for 8 ranks already, as many as the job has"]
    assert choose(CUT)[0] == []


def test_nodes_read_what_rank_0_cuts_in_a_shared_folder() -> None:
    assert choose(WHOLE, TWO_NODES)[0] == [Setting("auto_trans_ckpt", True), OUTPUT]
    assert choose(WHOLE, TWO_NODES, output_dir="/shared/mine")[0] == [Setting("auto_trans_ckpt", True)]
    assert choose(WHOLE, TWO_NODES, output_dir="/shared2/mine")[0] == [Setting("auto_trans_ckpt", True), OUTPUT]


def test_nodes_without_a_shared_folder_can_not_cut_at_the_start() -> None:
    with pytest.raises(PreflightError, match="names no folder that they share") as caught:
        choose(WHOLE, replace(TWO_NODES, shared_paths=()))
    assert "telechat_shared_paths" in caught.value.next_step
    assert "telechat-run convert" in caught.value.next_step


def test_weights_cut_for_other_cards_need_the_strategy_they_were_cut_by() -> None:
    with pytest.raises(PreflightError, match="it is cut for 8 ranks, and the job has 16") as caught:
        choose(CUT, TWO_NODES)
    assert "telechat-run convert" in caught.value.next_step
    assert choose(CUT, TWO_NODES, src_strategy_path_or_dir="/s")[0] == [Setting("auto_trans_ckpt", True), OUTPUT]


@pytest.mark.parametrize(
    ("look", "problem"),
    [
        (WHOLE, "it is not cut at all"),
        (replace(CUT, ranks=(0, 1)), "it is cut for 2 ranks, and the job has 8"),
        (replace(CUT, empty=(3,)), "it has no checkpoint file for rank 3"),
    ],
)
def test_offline_takes_weights_cut_for_the_jobs_cards(look: CheckpointFacts, problem: str) -> None:
    with pytest.raises(PreflightError, match=f"cut for the job's cards, and {problem}") as caught:
        choose(look, wish="offline")
    assert caught.value.exit_code == 5


def test_none_loads_what_is_there() -> None:
    assert choose(WHOLE, wish="none") == ([], [])
    assert choose(WHOLE, wish="none", auto_trans_ckpt=True)[0] == [Setting("auto_trans_ckpt", False)]


def test_a_folder_that_mindformers_can_not_load() -> None:
    with pytest.raises(PreflightError, match="no rank_N folders"):
        choose(FOLDER)
    assert choose(FOLDER, load_ckpt_format="safetensors")[0] == [Setting("auto_trans_ckpt", True)]


def test_nothing_to_choose() -> None:
    assert choose(None) == ([], [])
    assert choose(WHOLE, resume_training=True) == ([], [])
    assert choose(WHOLE, replace(START, cards=1)) == ([], [])
    uncut = replace(CONFIG, mode=ParallelMode.DATA)
    assert choose_transform(uncut, VALUES, WHOLE, START, None) == ([], [])
