# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from telechat_runtime.training.config import read_training_config
from telechat_runtime.training.layout import Layout
from telechat_runtime.training.memory import CARD_BYTES, GIB, USABLE_BYTES, Recompute, Training, card_memory
from telechat_runtime.training.memory import checkpoint_bytes as written
from telechat_runtime.training.model_shape import SHAPES
from tests.support.published_yaml import PUBLISHED

ALL = Recompute(full=(30,), select=(0,), communication=(0,))
NONE = Recompute(full=(0,), select=(0,), communication=(0,))
TRAINING = Training(seq_length=8192)


# Right: the part of a card that the yaml's authors gave to MindSpore (max_device_memory), for the same layout.
@pytest.mark.parametrize(
    ("model", "estimate", "given"), [("7b", 43.8, 58), ("35b", 37.1, 57), ("115b", 49.2, 54.5), ("39b-a12b", 51.4, 53)]
)
def test_the_published_layouts_fit_into_what_their_authors_gave_them(model: str, estimate: float, given: float) -> None:
    config = read_training_config(yaml.safe_load(PUBLISHED[model]))
    memory = config.memory(config.layout)
    assert memory is not None
    assert memory.total / GIB == pytest.approx(estimate, abs=0.1)
    assert memory.total / GIB < given < CARD_BYTES / GIB
    assert memory.total <= USABLE_BYTES


def test_one_card_holds_sixteen_bytes_for_each_parameter() -> None:
    memory = card_memory(SHAPES["7b"], Layout(), TRAINING, [30], ALL)
    assert (memory.certain - memory.mask) / SHAPES["7b"].parameters == pytest.approx(16, rel=1e-4)


def test_lora_holds_moments_and_gradients_of_its_own_matrices_only() -> None:
    added = SHAPES["7b"].lora_parameters(8, ".*wq|.*wk_v|.*wo")
    memory = card_memory(SHAPES["7b"], Layout(), replace(TRAINING, lora_parameters=added), [30], ALL)
    assert memory.optimizer == 8 * 30 * added
    assert memory.gradients == 4 * 30 * added
    assert memory.weights / SHAPES["7b"].parameters == pytest.approx(4, rel=2e-3)


def test_attention_without_flash_attention_is_quadratic() -> None:
    def working(seq_length: int) -> float:
        training = Training(seq_length=seq_length, flash_attention=False)
        return card_memory(SHAPES["7b"], Layout(), training, [30], ALL).activations / seq_length

    assert working(16384) > 1.5 * working(8192)


def test_the_mask_of_whole_sequences_grows_with_every_pair_of_tokens() -> None:
    def mask(seq_length: int, **changes: Any) -> int:
        training = replace(TRAINING, seq_length=seq_length, **changes)
        return card_memory(SHAPES["7b"], Layout(cp=2, mp=2), training, [30], ALL).mask

    assert mask(32768) == 5 * GIB
    assert mask(65536) == 20 * GIB
    assert mask(32768, batch_size=2) == 8 * GIB
    assert mask(65536, compressed_mask=True) == 0


def test_a_pipeline_holds_as_many_micro_batches_as_stages_follow() -> None:
    layers, none = (15, 15), Recompute((0, 0), (0, 0), (0, 0))
    few = card_memory(SHAPES["7b"], Layout(pp=2, micro_batch_num=1), TRAINING, layers, none)
    many = card_memory(SHAPES["7b"], Layout(pp=2, micro_batch_num=64), TRAINING, layers, none)
    two = card_memory(SHAPES["7b"], Layout(pp=2, micro_batch_num=2), TRAINING, layers, none)
    assert few.activations < two.activations == many.activations


@given(st.sampled_from(sorted(SHAPES)), st.integers(0, 4), st.sampled_from([1, 2, 4, 8]), st.sampled_from([1, 2, 4]))
def test_more_cards_or_recomputing_never_take_more_memory(model: str, doublings: int, mp: int, cp: int) -> None:
    shape = SHAPES[model]
    layers = [shape.layers]
    layout = Layout(dp=1 << doublings, mp=mp, cp=cp)
    plain = Recompute((0,), (0,), (0,))
    here = card_memory(shape, layout, TRAINING, layers, plain)
    # Two cards gather what one holds, so compare from there.
    if layout.dp * layout.cp > 1:
        assert card_memory(shape, replace(layout, dp=2 * layout.dp), TRAINING, layers, plain).total <= here.total
    assert card_memory(shape, replace(layout, cp=2 * cp), TRAINING, layers, plain).activations <= here.activations
    assert card_memory(shape, replace(layout, mp=2 * mp), TRAINING, layers, plain).certain <= here.certain
    for less in (Recompute(tuple(layers), (0,), (0,)), Recompute((0,), tuple(layers), tuple(layers))):
        assert card_memory(shape, layout, TRAINING, layers, less).total <= here.total


def test_a_checkpoint_has_the_weights_twice_and_the_moments_once() -> None:
    parameters = SHAPES["7b"].parameters
    assert written(SHAPES["7b"], Layout(dp=8), TRAINING) == 16 * parameters
    assert written(SHAPES["7b"], Layout(dp=8), replace(TRAINING, parallel_optimizer=False)) == 8 * 16 * parameters
    assert written(SHAPES["7b"], Layout(dp=8), replace(TRAINING, optimizer_shard=2)) == 4 * 16 * parameters
