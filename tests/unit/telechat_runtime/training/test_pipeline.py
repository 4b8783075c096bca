# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any, List

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telechat_runtime.training.pipeline import (
    Pipeline,
    adapted_counts,
    count_problem,
    new_offset,
    offset_problem,
    stage_counts,
    stage_layers,
)

_115B = [[-1, -1, 0, 0, 0, 0, 0, 0], [-1, 0, 0, 0, 0, 0, 0, 0], [0, 0, 0, 1, 1, 1, 1, -1]]
pipelines = st.builds(
    Pipeline, layers=st.integers(1, 200), stages=st.integers(1, 16), interleave=st.integers(1, 4)
).filter(lambda pipeline: pipeline.layers >= pipeline.slots)


@pytest.mark.parametrize(
    ("offset", "pipeline", "layers"),
    [
        (0, Pipeline(30, 1), (30,)),
        (0, Pipeline(30, 2), (15, 15)),
        ([-1, 1, 1, -1], Pipeline(64, 4), (15, 17, 17, 15)),
        (_115B, Pipeline(96, 8, 3), (10, 11, 12, 13, 13, 13, 13, 11)),
        ([[0, 1, 1, 1, 1], [1, 1, 1, 1, 0]], Pipeline(48, 5, 2), (9, 10, 10, 10, 9)),
        ([0, 0], Pipeline(8, 2, 2), (4, 4)),
    ],
)
def test_published_offsets_are_accepted(offset: Any, pipeline: Pipeline, layers: Any) -> None:
    assert offset_problem(offset, pipeline) is None
    assert stage_layers(offset, pipeline) == layers


@pytest.mark.parametrize(
    ("offset", "pipeline", "problem"),
    [
        ([-1, 1, 1, -1], Pipeline(64, 8), "offset [-1, 1, 1, -1] has 4 entries for 8 pipeline stages"),
        ([[0, 0], [0, 0]], Pipeline(8, 2, 1), "offset [[0, 0], [0, 0]] has 2 rows, but pp_interleave_num is 1"),
        ([0, 0, 0, 1], Pipeline(30, 4), "offset [0, 0, 0, 1] adds up to 1, but num_layers 30 % (pipeline_stage 4 x "),
        (0, Pipeline(30, 4), "offset 0 adds up to 0, but"),
        (2, Pipeline(30, 4), "offset 2 gives 36 layers to the stages, and the model has 30"),
        ([-15, 15], Pipeline(30, 2), "offset [-15, 15] leaves a stage without a layer ([0, 30])"),
        ("even", Pipeline(30, 2), "offset even is no number and no list of numbers"),
        ([0.5, -0.5], Pipeline(30, 2), "offset [0.5, -0.5] holds something else than whole numbers"),
    ],
)
def test_what_layersetting_would_refuse_or_cut_oddly(offset: Any, pipeline: Pipeline, problem: str) -> None:
    assert str(offset_problem(offset, pipeline)).startswith(problem)
    with pytest.raises(ValueError, match="offset"):
        stage_layers(offset, pipeline)


@given(pipelines)
def test_a_new_offset_suits_its_pipeline_and_keeps_it_level(pipeline: Pipeline) -> None:
    offset = new_offset(pipeline)
    assert offset_problem(offset, pipeline) is None
    layers = stage_layers(offset, pipeline)
    assert sum(layers) == pipeline.layers
    assert max(layers) - min(layers) <= pipeline.interleave


def test_the_ends_get_the_layers_left_over_last() -> None:
    assert new_offset(Pipeline(30, 4)) == [0, 1, 1, 0]
    assert new_offset(Pipeline(31, 4)) == [1, 1, 1, 0]
    assert new_offset(Pipeline(98, 8, 3)) == [[0] * 8, [0, 0, 0, 1, 1, 0, 0, 0], [0] * 8]


@pytest.mark.parametrize("value", [True, False, [1, 2], [True, 0], [[1, 0], [0, 1]], [r"feed_forward\.mul"]])
def test_recompute_values_that_suit_two_stages(value: Any) -> None:
    interleave = 2 if value == [[1, 0], [0, 1]] else 1
    assert count_problem("recompute", value, Pipeline(8, 2, interleave)) is None


def test_a_recompute_list_of_another_pipeline() -> None:
    problem = count_problem("select_recompute", [1, 2, 3], Pipeline(8, 2))
    assert problem == "select_recompute [1, 2, 3] has 3 entries for 2 pipeline stages"


@pytest.mark.parametrize(
    ("value", "counts"),
    [
        (True, (4, 4)),
        (False, (0, 0)),
        ([9, 1], (4, 1)),
        ([True, False], (4, 0)),
        ([[1, 0], [2, 1]], (3, 1)),
        ([r"feed_forward\.mul"], (4, 4)),
    ],
)
def test_on_how_many_layers_a_value_acts(value: Any, counts: Any) -> None:
    assert stage_counts(value, [4, 4]) == counts


def test_every_stage_recomputes_the_highest_share_that_one_did() -> None:
    assert adapted_counts([8, 8, 10, 11, 10, 7, 5, 4], (10, 11, 12, 13, 13, 13, 13, 11), (24, 24, 24, 24)) == [21] * 4
    assert adapted_counts([3, 0], (15, 15), (30,)) == [6]
    assert adapted_counts(True, (15, 15), (30,)) is True


@given(
    st.lists(st.tuples(st.integers(1, 20), st.integers(0, 20)), min_size=1, max_size=8),
    st.lists(st.integers(1, 40), min_size=1, max_size=8),
)
def test_no_stage_keeps_a_bigger_share_than_before(old: List[Any], new: List[int]) -> None:
    held = [layers for layers, _ in old]
    counts = [count for _, count in old]
    adapted = adapted_counts(counts, held, new)
    assert len(adapted) == len(new)
    share = max(min(1.0, count / layers) for layers, count in old)
    assert all(layers >= count >= share * layers - 1e-6 for layers, count in zip(new, adapted))
