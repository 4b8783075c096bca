# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any, Dict

import pytest
import yaml

from telechat_runtime.errors import ConfigError
from telechat_runtime.training.config import TrainingConfig, read_training_config
from telechat_runtime.training.document import Setting
from telechat_runtime.training.layout import Layout
from telechat_runtime.training.layout_choice import ChosenLayout, check_lists, choose_layout
from tests.support.published_yaml import CARDS, PUBLISHED
from tests.unit.telechat_runtime.training.test_layout_proposal import config_of, job_of


def choose(model: str, cards: int, *, may_propose: bool = True, kept: Any = (), **asked: int) -> ChosenLayout:
    config = config_of(model)
    return choose_layout(config, job_of(config, cards), asked, may_propose=may_propose, kept=kept)


@pytest.mark.parametrize("model", PUBLISHED)
def test_a_yaml_on_its_own_cards_is_left_alone(model: str) -> None:
    assert choose(model, CARDS[model]) == ChosenLayout(config_of(model).layout, (), ())


def test_the_guides_two_servers() -> None:
    chosen = choose("7b", 16, dp=8, mp=2)
    assert chosen == ChosenLayout(Layout(dp=8, mp=2), (Setting("parallel_config.model_parallel", 2),), ())


def test_other_cards_get_a_proposal_with_its_reason() -> None:
    chosen = choose("7b", 16)
    assert chosen.settings == (Setting("parallel_config.data_parallel", 16),)
    (note,) = chosen.notes
    assert note.split(": ", maxsplit=1) == [
        "layout dp 16 mp 1 pp 1 cp 1 micro_batch_num 1",
        (
            "it is the yaml's own cut (mp 1, pp 1, cp 1), data_parallel 16; "
            "the fullest card takes an estimated 36.7 GiB of 58"
        ),
    ]


def test_a_yaml_of_the_users_own_is_refused_with_the_proposal_as_next_step() -> None:
    with pytest.raises(ConfigError, match="= 8, but the job has 16 workers") as caught:
        choose("7b", 16, may_propose=False)
    assert caught.value.next_step.startswith("--dp 16 --mp 1 --pp 1 fits: it is the yaml's own cut")


def test_numbers_that_can_not_be_kept_are_refused() -> None:
    with pytest.raises(ConfigError, match="pipeline_stage 3") as caught:
        choose("35b", 16, pp=3)
    assert "no cut of this model over 16 cards obeys the rules" in caught.value.message
    assert caught.value.next_step.startswith("--dp 1 --mp 4 --pp 4 --micro-batch-num 32 fits")


def test_too_few_cards() -> None:
    with pytest.raises(ConfigError, match="no cut of this model over 8 cards fits a card") as caught:
        choose("35b", 8)
    assert caught.value.next_step.startswith("16 cards would do; or a shorter --seq-length")


def test_one_card_that_can_not_even_hold_the_optimizer() -> None:
    with pytest.raises(ConfigError, match=r"alone take 113\.8 GiB of a card") as caught:
        choose("7b", 1)
    assert caught.value.next_step.startswith("4 cards would do; or a shorter --seq-length")


def test_another_pipeline_has_other_lists_with_the_reason_beside_them() -> None:
    chosen = choose("115b", 256, pp=4)
    reason = "made for 4 stages, the yaml's for 8"
    assert chosen.settings == (
        Setting("parallel_config.pipeline_stage", 4),
        Setting("model.model_config.offset", 0, reason=reason),
        Setting("recompute_config.select_comm_recompute", [21, 21, 21, 21], reason=reason),
    )


def test_a_list_that_the_user_set_is_not_made_anew() -> None:
    chosen = choose("115b", 256, pp=4, kept=["model.model_config.offset"])
    assert [setting.key for setting in chosen.settings] == [
        "parallel_config.pipeline_stage", "recompute_config.select_comm_recompute",
    ]  # fmt: skip


def test_without_a_pipeline_there_is_no_interleave() -> None:
    chosen = choose("115b", 512, dp=64, mp=8, pp=1, micro_batch_num=8)
    values = {setting.key: setting.value for setting in chosen.settings}
    assert values["model.model_config.pp_interleave_num"] == 1
    assert values["parallel.pipeline_config.pipeline_interleave"] is False


def test_a_layout_that_may_run_out_of_memory_is_allowed_with_a_note() -> None:
    config = config_of("7b", 16384)
    chosen = choose_layout(config, job_of(config, 4), {"dp": 4}, may_propose=True)
    assert chosen.settings == (Setting("parallel_config.data_parallel", 4),)
    assert "it may run out of memory" in chosen.notes[0]


def test_a_mask_that_fills_a_card_names_the_setting_that_does_without() -> None:
    config = config_of("7b", 131072)
    with pytest.raises(ConfigError, match="no cut of this model over 16 cards fits a card") as caught:
        choose_layout(config, job_of(config, 16), {"cp": 2}, may_propose=True)
    assert "--set +model.model_config.use_attn_mask_compression=True" in caught.value.next_step


@pytest.mark.parametrize("asked", [{"mp": 2}, {"pp": 2, "dp": 4}])
def test_a_mode_that_does_not_cut_models_takes_no_numbers(asked: Dict[str, int]) -> None:
    config = read_training_config(yaml.safe_load(PUBLISHED["7b"].replace("parallel_mode: 1", "parallel_mode: 0")))
    with pytest.raises(ConfigError, match="is not semi-auto parallel") as caught:
        choose_layout(config, job_of(config, 8), asked, may_propose=True)
    assert "--set parallel.parallel_mode=1" in caught.value.next_step
    assert choose_layout(config, job_of(config, 7), {}, may_propose=True).settings == ()


def edited(model: str, old: str, new: str) -> TrainingConfig:
    assert old in PUBLISHED[model]
    return read_training_config(yaml.safe_load(PUBLISHED[model].replace(old, new)))


def test_lists_of_the_published_files_suit_their_pipelines() -> None:
    for text in PUBLISHED.values():
        check_lists(read_training_config(yaml.safe_load(text)))


def test_a_wrong_offset_names_one_that_fits() -> None:
    with pytest.raises(ConfigError, match=r"offset \[1, 1\] has 2 entries for 4 pipeline stages") as caught:
        check_lists(edited("35b", "[-1, 1, 1, -1]", "[1, 1]"))
    assert caught.value.next_step == "--set model.model_config.offset='0' fits"


def test_a_recompute_list_of_another_length() -> None:
    config = edited("39b-a12b", "recompute: [3, 0]", "recompute: [3, 0, 0]")
    with pytest.raises(ConfigError, match=r"recompute \[3, 0, 0\] has 3 entries for 2 pipeline stages"):
        check_lists(config)
