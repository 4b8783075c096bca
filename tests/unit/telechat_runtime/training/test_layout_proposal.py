# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from dataclasses import replace
from typing import Any, Dict

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from telechat_runtime.training.config import TrainingConfig, read_training_config
from telechat_runtime.training.layout import Job, Layout, problems
from telechat_runtime.training.layout_proposal import NoLayout, cards_that_would_do, propose_layout, why_none
from telechat_runtime.training.memory import USABLE_BYTES
from tests.support.published_yaml import CARDS, PUBLISHED


def config_of(model: str, seq_length: int = 8192) -> TrainingConfig:
    document: Dict[str, Any] = yaml.safe_load(PUBLISHED[model])
    document["model"]["model_config"]["seq_length"] = seq_length
    return read_training_config(document)


def job_of(config: TrainingConfig, cards: int, cards_per_node: int = 8) -> Job:
    return Job(
        shape=config.shape,
        cards=cards,
        cards_per_node=min(cards, cards_per_node),
        seq_length=config.seq_length,
        fine_grain_interleave=config.fine_grain_interleave,
    )


@pytest.mark.parametrize("model", PUBLISHED)
def test_on_the_cards_that_a_yaml_was_made_for_its_own_layout_is_proposed(model: str) -> None:
    config = config_of(model)
    proposal = propose_layout(config, job_of(config, CARDS[model]))
    assert proposal is not None
    assert proposal.layout == config.layout
    assert proposal.reasons[0].startswith("it is the yaml's own cut")


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(
    st.sampled_from(sorted(PUBLISHED)),
    st.integers(1, 48),
    st.sampled_from([1, 2, 4, 8]),
    st.sampled_from([512, 8192, 32768, 131072]),
    st.fixed_dictionaries({}, optional={name: st.sampled_from([1, 2, 3, 4, 8]) for name in ("dp", "mp", "pp")}),
)
def test_what_is_proposed_obeys_every_rule_fits_and_keeps_what_was_asked(
    model: str, nodes: int, per_node: int, seq_length: int, fixed: Dict[str, int]
) -> None:
    config = config_of(model, seq_length)
    job = job_of(config, nodes * per_node, per_node)
    proposal = propose_layout(config, job, fixed)
    if proposal is None:
        assert f"over {job.cards} cards" in why_none(config, job, fixed).reason
        return
    assert problems(proposal.layout, job) == []
    assert proposal.layout.cards == job.cards
    memory = config.memory(proposal.layout)
    assert memory is not None
    assert memory.total <= USABLE_BYTES
    assert {name: getattr(proposal.layout, name) for name in fixed} == fixed
    assert proposal.reasons


@pytest.mark.parametrize(
    ("model", "cards", "layout"),
    [
        ("7b", 16, Layout(dp=16)),
        ("7b", 4, Layout(dp=2, mp=2)),
        ("35b", 32, Layout(dp=2, mp=4, pp=4, micro_batch_num=32)),
        ("39b-a12b", 16, Layout(dp=2, mp=8, ep=2, micro_batch_num=4)),
    ],
)
def test_proposals(model: str, cards: int, layout: Layout) -> None:
    config = config_of(model)
    proposal = propose_layout(config, job_of(config, cards))
    assert proposal is not None
    assert proposal.layout == layout


def test_a_number_that_was_given_is_kept() -> None:
    config = config_of("35b")
    proposal = propose_layout(config, job_of(config, 32), {"dp": 8})
    assert proposal is not None
    assert proposal.layout == Layout(dp=8, mp=4, micro_batch_num=32)


def test_a_pipeline_gets_four_micro_batches_a_stage() -> None:
    config = config_of("7b")
    proposal = propose_layout(config, job_of(config, 16), {"pp": 2})
    assert proposal is not None
    assert proposal.layout.micro_batch_num == 8
    assert "4 micro batches a stage" in proposal.reasons[-1]


def test_a_long_sequence_is_cut_over_cards() -> None:
    config = config_of("7b", 262144)
    assert propose_layout(config, job_of(config, 16)) is None
    config = replace(config, training=replace(config.training, compressed_mask=True))
    proposal = propose_layout(config, job_of(config, 16))
    assert proposal is not None
    assert proposal.layout.cp > 1


def test_too_few_cards_for_a_model_and_how_many_would_do() -> None:
    config = config_of("35b")
    job = job_of(config, 8)
    assert propose_layout(config, job) is None
    assert why_none(config, job).is_too_large
    assert why_none(config, job).reason.startswith(
        "no cut of this model over 8 cards fits a card: the smallest, dp 1 mp 8"
    )
    assert cards_that_would_do(config, job) == 16
    enough = replace(job, cards=16)
    assert propose_layout(config, enough) is not None


def test_numbers_that_no_layout_can_have() -> None:
    config = config_of("7b")
    why = why_none(config, job_of(config, 16), {"mp": 3})
    assert why == NoLayout("no cut of this model over 16 cards obeys the rules", is_too_large=False)


def test_a_model_of_unknown_size_gets_a_layout_without_memory() -> None:
    config = read_training_config({"parallel_config": {"data_parallel": 8, "model_parallel": 2}})
    proposal = propose_layout(config, job_of(config, 8))
    assert proposal is not None
    assert (proposal.layout, proposal.memory) == (Layout(dp=4, mp=2), None)
