# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
import yaml

from telechat_runtime.errors import ConfigError
from telechat_runtime.training.model_shape import SHAPES, ModelShape, shape_of
from telechat_runtime.training.yaml_view import YamlView
from tests.support.published_yaml import PUBLISHED


@pytest.mark.parametrize(
    ("model", "billions"), [("7b", 7.617), ("35b", 35.435), ("115b", 113.283), ("39b-a12b", 39.330)]
)
def test_the_published_models_have_the_parameters_that_their_names_say(model: str, billions: float) -> None:
    assert SHAPES[model].parameters / 1e9 == pytest.approx(billions, abs=5e-4)


def test_a_token_of_the_model_with_experts_passes_twelve_billion_of_them() -> None:
    shape = SHAPES["39b-a12b"]
    unused = shape.layers * shape.ffn_parameters * (1 - shape.experts_per_token / shape.experts)
    assert (shape.parameters - unused) / 1e9 == pytest.approx(12.15, abs=0.01)


@pytest.mark.parametrize("model", PUBLISHED)
def test_the_shape_is_read_from_the_yaml(model: str) -> None:
    document = yaml.safe_load(PUBLISHED[model])
    assert (
        shape_of(YamlView(document["model"]["model_config"]), YamlView(document.get("moe_config", {}))) == SHAPES[model]
    )


@pytest.mark.parametrize("value", [None, 0])
def test_a_yaml_without_a_size_has_no_shape(value: object) -> None:
    sizes = {"hidden_size": 64, "num_heads": 4, "intermediate_size": 128, "vocab_size": 2048, "num_layers": value}
    assert shape_of(YamlView(sizes), YamlView({})) is None


@pytest.mark.parametrize("value", [-1, "30", True, 2.5])
def test_a_size_that_is_none_is_refused(value: object) -> None:
    model = YamlView({"model": {"model_config": {"num_layers": value}}}).section("model.model_config")
    with pytest.raises(ConfigError, match=rf"model\.model_config\.num_layers is {value!r}, but has to be a whole"):
        shape_of(model, YamlView({}))


def test_lora_adds_two_matrices_to_each_linear_that_the_pattern_matches() -> None:
    shape = ModelShape(layers=2, hidden=64, heads=4, kv_heads=2, ffn=128, vocab=1000)
    assert shape.lora_parameters(8, ".*wq|.*wk_v|.*wo") == 8 * ((64 + 64) + (64 + 64) + (64 + 64))
    assert shape.lora_parameters(4, r".*feed_forward\.w2") == 4 * (128 + 64)
    assert shape.lora_parameters(4, "wq") == 0
