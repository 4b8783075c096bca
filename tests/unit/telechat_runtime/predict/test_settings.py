# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telechat_runtime.errors import ConfigError, SpecError
from telechat_runtime.predict.settings import (
    PredictConfig,
    check_generation,
    choose_cards,
    predict_config,
    predict_settings,
)
from telechat_runtime.predict.spec import Generation, PredictSpec
from telechat_runtime.training.document import Document
from tests.support.clusters import two_nodes
from tests.support.predict_yaml import PREDICT_7B, PREDICT_35B, PREDICT_39B_A12B, PREDICT_115B


def config(text: str = PREDICT_7B) -> PredictConfig:
    return predict_config(Document.load(text, "predict.yaml"))


def settings(text: str = PREDICT_7B, *, world_size: int = 1, **wishes: Any) -> dict[str, Any]:
    made = predict_settings(
        PredictSpec(questions=("a",), **wishes),
        config(text),
        device_target="Ascend",
        world_size=world_size,
    )
    return {setting.key: setting.value for setting in made}


def test_a_yaml_without_a_model() -> None:
    with pytest.raises(ConfigError, match=r"predict\.yaml has no model\.model_config"):
        config("seed: 0\n")


@pytest.mark.parametrize(
    ("text", "per_node", "nodes"),
    [(PREDICT_7B, 1, 1), (PREDICT_35B, 2, 1), (PREDICT_39B_A12B, 2, 1), (PREDICT_115B, 8, 1)],
)
def test_without_a_wish_as_many_cards_as_the_yaml_splits_the_model_over(text: str, per_node: int, nodes: int) -> None:
    cards = choose_cards(config(text), two_nodes(), None)
    assert (cards.per_node, len(cards.cluster.nodes)) == (per_node, nodes)


def test_a_model_that_no_node_holds_alone_takes_more_nodes() -> None:
    cards = choose_cards(config(PREDICT_115B), two_nodes(ascend_npu_count=4), None)
    assert (cards.per_node, len(cards.cluster.nodes), cards.world_size) == (4, 2, 8)


def test_too_few_cards() -> None:
    with pytest.raises(SpecError, match=r"splits the model over 8 cards, and the nodes have 2 \+ 2"):
        choose_cards(config(PREDICT_115B), two_nodes(ascend_npu_count=2), None)


def test_a_wish_takes_all_nodes() -> None:
    cards = choose_cards(config(), two_nodes(), 8)
    assert (cards.per_node, cards.world_size) == (8, 16)


def test_heads_that_do_not_divide() -> None:
    with pytest.raises(ConfigError, match="num_heads 32 can't be split over 6 cards") as caught:
        choose_cards(config(), two_nodes(), 3)
    assert caught.value.next_step == "take one of 1, 2, 4, 8, 16, 32 cards"


def test_key_value_heads_count_too() -> None:
    with pytest.raises(ConfigError, match="n_kv_heads 8 can't be split over 16 cards"):
        choose_cards(config(PREDICT_115B), two_nodes(), 8)


def test_data_parallel_workers_share_no_heads() -> None:
    text = PREDICT_7B.replace("parallel_mode: 1", "parallel_mode: 0")
    assert choose_cards(config(text), two_nodes(), 3).world_size == 6
    assert "parallel_config.model_parallel" not in settings(text, world_size=6)


@given(nodes=st.integers(1, 2), npus=st.sampled_from([1, 2, 4, 8]))
def test_the_model_is_split_over_exactly_the_cards_that_run(nodes: int, npus: int) -> None:
    cluster = two_nodes().limited_to(["node0", "node1"][:nodes])
    cards = choose_cards(config(), cluster, npus)
    made = settings(world_size=cards.world_size)
    sizes = [made.get(f"parallel_config.{name}", 1) for name in ("data_parallel", "model_parallel", "pipeline_stage")]
    assert sizes == [1, nodes * npus, 1]
    assert made["use_parallel"] is (nodes * npus > 1)


def test_the_shipped_defect_is_mended_with_its_reason_and_only_where_it_is() -> None:
    made = predict_settings(PredictSpec(questions=("a",)), config(), device_target="Ascend", world_size=1)
    mended = [setting for setting in made if setting.key == "model.model_config.router_dense_type"]
    assert [(setting.value, "dies without it" in setting.reason) for setting in mended] == [("float32", True)]
    assert "model.model_config.router_dense_type" not in settings(PREDICT_39B_A12B)
    assert "model.model_config.router_dense_type" not in settings(PREDICT_7B.replace("TelechatConfig", "LlamaConfig"))


def test_extrapolation_sets_the_guides_two_steps_and_room_in_the_cache() -> None:
    made = settings(extrapolate=32768)
    assert made["parallel.parallel_mode"] == "STAND_ALONE"
    assert made["parallel.full_batch"] is False
    assert {name.rpartition(".")[2]: value for name, value in made.items() if name.startswith("model.")} == {
        "router_dense_type": "float32",
        "seq_length": 32768,
        "max_position_embedding": 8192,
        "extend_method": "DYNAMIC_NTK",
        "num_blocks": 2048,
    }


def test_extrapolation_turns_dynamic_shapes_on() -> None:
    made = settings(PREDICT_7B.replace("is_dynamic: True", "is_dynamic: False"), extrapolate=16384)
    assert made["model.model_config.is_dynamic"] is True


@pytest.mark.parametrize(
    ("length", "message"),
    [(8192, "is not more than the 8192 tokens that the model is trained for"), (10001, "block_size, 16")],
)
def test_lengths_that_make_no_sense(length: int, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        settings(extrapolate=length)


def test_a_length_beyond_the_model_asks_for_extrapolation() -> None:
    spec = PredictSpec(questions=("a",), generation=Generation(max_length=9000))
    with pytest.raises(SpecError, match="--max-length 9000 is more than the model's seq_length, 8192") as caught:
        check_generation(spec, config())
    assert caught.value.next_step.startswith("--extrapolate 9000")
    check_generation(PredictSpec(questions=("a",), generation=spec.generation, extrapolate=16384), config())


def test_sampling_options_want_sampling() -> None:
    spec = PredictSpec(questions=("a",), generation=Generation(top_p=0.5))
    with pytest.raises(SpecError, match="--top-p has no effect"):
        check_generation(spec, config())
    check_generation(spec, config(PREDICT_7B.replace("do_sample: False", "do_sample: True")))
    check_generation(PredictSpec(questions=("a",), generation=Generation(top_p=0.5, do_sample=True)), config())
