# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from dataclasses import replace
from typing import Any, Dict

import pytest
import yaml

from telechat_runtime.training.config import TrainingConfig, read_training_config
from telechat_runtime.training.layout import Layout
from telechat_runtime.training.model_shape import SHAPES
from tests.support.published_yaml import CARDS, LORA_7B, PUBLISHED


def read(text: str) -> TrainingConfig:
    document: Dict[str, Any] = yaml.safe_load(text)
    return read_training_config(document)


def test_what_the_yaml_of_115b_says() -> None:
    config = read(PUBLISHED["115b"])
    assert config.layout == Layout(dp=8, mp=8, pp=8, micro_batch_num=8)
    assert config.cuts_model
    assert config.shape == SHAPES["115b"]
    assert (config.seq_length, config.interleave, config.fine_grain_interleave) == (8192, 3, 2)
    assert config.training.parallel_optimizer
    assert config.training.lora_parameters is None
    assert config.recompute == {
        "recompute": False, "select_recompute": True, "select_comm_recompute": [8, 8, 10, 11, 10, 7, 5, 4],
    }  # fmt: skip


@pytest.mark.parametrize("model", PUBLISHED)
def test_the_published_yaml_takes_its_cards(model: str) -> None:
    assert read(PUBLISHED[model]).layout.cards == CARDS[model]


def test_what_the_yaml_of_experts_says() -> None:
    config = read(PUBLISHED["39b-a12b"])
    assert (config.layout.ep, config.training.optimizer_shard) == (2, 2)
    assert config.load_balance == "./parallel_speed_up.json"


def test_the_parameters_that_lora_trains() -> None:
    assert read(LORA_7B).training.lora_parameters == 229376


def test_interleave_without_pipeline_interleave_means_nothing() -> None:
    text = PUBLISHED["115b"].replace("pipeline_interleave: True", "pipeline_interleave: False")
    assert read(text).interleave == 1


def test_a_yaml_that_says_nothing() -> None:
    config = read_training_config({})
    assert (config.shape, config.seq_length, config.has_layout, config.cuts_model) == (None, None, False, False)
    assert config.memory(Layout()) is None
    with pytest.raises(ValueError, match="unknown shape"):
        config.stages(Layout())


def test_a_yaml_without_sizes_gets_those_published_for_its_model() -> None:
    assert read_training_config({}, model="35b").shape == SHAPES["35b"]


def test_odd_sections_are_no_sections() -> None:
    assert read_training_config({"model": 3, "parallel_config": [1], "parallel": None}) == read_training_config({})


def test_the_pipeline_of_the_yaml_stays_as_it_is_written() -> None:
    config = read(PUBLISHED["35b"])
    stages = config.stages(replace(config.layout, dp=8))
    assert (stages.offset, stages.layers) == ([-1, 1, 1, -1], (15, 17, 17, 15))


def test_another_pipeline_gets_new_lists() -> None:
    config = read(PUBLISHED["115b"])
    stages = config.stages(replace(config.layout, pp=4))
    assert stages.pipeline.interleave == 3
    assert (stages.offset, stages.layers) == (0, (24, 24, 24, 24))
    assert stages.recompute == {
        "recompute": False, "select_recompute": True, "select_comm_recompute": [21, 21, 21, 21],
    }  # fmt: skip


def test_a_pattern_keeps_its_own_list() -> None:
    config = replace(read(PUBLISHED["35b"]), recompute={"select_recompute": {"a": [4, 4, 4, 4], "b": True}})
    stages = config.stages(replace(config.layout, pp=2))
    assert stages.recompute == {"select_recompute": {"a": [9, 9], "b": True}}


def test_a_lone_stage_has_one_run_of_layers() -> None:
    config = read(PUBLISHED["115b"])
    assert config.stages(replace(config.layout, pp=1)).pipeline.interleave == 1
    assert config.stages(replace(config.layout, pp=48)).pipeline.interleave == 2
