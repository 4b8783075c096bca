# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Optional

import pytest

from telechat_runtime.node.programs.checkpoints.conversion import Conversion, ConversionError, plan_conversion
from telechat_runtime.node.programs.checkpoints.folder import find_shards
from telechat_runtime.node.programs.checkpoints.shard_file import TensorHeader
from telechat_runtime.node.programs.checkpoints.strategy import Strategy, read_strategy, strategy_files
from tests.support.checkpoint_files import (
    Cut,
    Tensor,
    bfloats,
    floats,
    write_checkpoint,
    write_strategies,
)

MODEL = {"tok.weight": bfloats((8, 4)), "wo.weight": floats((4, 8)), "norm.weight": floats((4,))}
COUNTER = {"epoch_num": Tensor("Int32", (), bytes(4))}
LORA = {"wo.mindpet_delta_lora_a": floats((2, 8))}


def cuts(dp: int, mp: int, names: Mapping[str, Tensor] = MODEL) -> dict[str, Cut]:
    maps = {"tok.weight": (0, -1), "wo.weight": (-1, 0), "norm.weight": (-1,)}
    return {name: Cut((dp, mp), maps.get(name, (-1, -1))) for name in names}


class Site:
    """Checkpoints and strategies of one test."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def whole(self, **more: Tensor) -> Path:
        return write_checkpoint(self.folder / "whole.ckpt", {**MODEL, **more})

    def slices(self, mp: int, ranks: int, **more: Tensor) -> Path:
        """Write what a model-parallel run saves: tok cut by rows, wo by columns."""
        held = {"tok.weight": bfloats((8 // mp, 4)), "wo.weight": floats((4, 8 // mp)), "norm.weight": floats((4,))}
        for rank in range(ranks):
            write_checkpoint(self.folder / f"slices/rank_{rank}/m-1_5.ckpt", {**held, **more})
        return self.folder / "slices"

    def strategy(self, *stages: Mapping[str, Cut]) -> Strategy:
        name = f"strategy-{len(list(self.folder.glob('strategy-*')))}"
        return read_strategy(strategy_files(str(write_strategies(self.folder / name, stages))))

    def plan(self, path: Path, source: Optional[Strategy], target: Optional[Strategy]) -> Conversion:
        return plan_conversion(find_shards(str(path)), source, target)

    def refusal(self, path: Path, source: Optional[Strategy], target: Optional[Strategy]) -> str:
        with pytest.raises(ConversionError) as caught:
            self.plan(path, source, target)
        return str(caught.value)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def test_a_whole_checkpoint_is_cut_once_for_ranks_that_hold_the_same(site: Site) -> None:
    conversion = site.plan(site.whole(), None, site.strategy(cuts(2, 2)))
    assert conversion.groups == [[0, 2], [1, 3]]
    assert conversion.expected(3) == {
        "tok.weight": TensorHeader("BFloat16", (4, 4)),
        "wo.weight": TensorHeader("Float32", (4, 4)),
        "norm.weight": TensorHeader("Float32", (4,)),
    }


def test_each_pipeline_stage_gets_its_own_parameters(site: Site) -> None:
    first, second = cuts(1, 2, {"tok.weight": MODEL["tok.weight"]}), cuts(1, 2)
    del second["tok.weight"]
    conversion = site.plan(site.whole(), None, site.strategy(first, second))
    assert [sorted(conversion.expected(rank)) for rank in (1, 2)] == [["tok.weight"], ["norm.weight", "wo.weight"]]


def test_slices_are_joined_to_the_shapes_of_the_whole(site: Site) -> None:
    conversion = site.plan(site.slices(2, 2, **COUNTER), site.strategy(cuts(1, 2)), None)
    assert conversion.expected(0) == {name: TensorHeader(tensor.dtype, tensor.shape) for name, tensor in MODEL.items()}
    assert conversion.left_out == ("epoch_num",)


def test_a_replica_stands_in_for_a_rank_whose_file_is_elsewhere(site: Site) -> None:
    conversion = site.plan(site.slices(2, 2), site.strategy(cuts(2, 2)), None)
    assert conversion.available[3] == conversion.available[1]


def test_a_slice_that_nobody_has(site: Site) -> None:
    assert "lacks the files of rank 1 or 3: copy them" in site.refusal(
        site.slices(2, 1), site.strategy(cuts(2, 2)), None
    )


def test_nothing_to_convert(site: Site) -> None:
    assert "nothing to convert" in site.refusal(site.whole(), None, None)


def test_slices_without_their_strategy(site: Site) -> None:
    message = site.refusal(site.slices(2, 2), None, site.strategy(cuts(1, 2)))
    assert "holds a file for each of 2 ranks: name the strategy that cut them" in message


def test_a_strategy_of_more_or_fewer_ranks_than_there_are_files(site: Site) -> None:
    assert "is one file, but its strategy is of 2 ranks" in site.refusal(site.whole(), site.strategy(cuts(1, 2)), None)
    assert "has rank 2, 3, but its strategy is of 2 ranks only" in site.refusal(
        site.slices(2, 4), site.strategy(cuts(1, 2)), None
    )


def test_a_strategy_of_trainable_parameters_would_lose_the_base(site: Site) -> None:
    """The default of MindFormers' only_trainable_params: MindSpore itself drops the base without a word."""
    trainable = site.strategy(cuts(1, 2, LORA))
    message = site.refusal(site.slices(2, 2, **LORA), trainable, None)
    assert "does not know norm.weight, tok.weight, wo.weight" in message
    assert "only_trainable_params" in message
    assert "only_trainable_params" in site.refusal(site.whole(**LORA), None, trainable)


def test_lora_parameters_that_the_target_adds_are_no_reason_to_refuse(site: Site) -> None:
    assert site.plan(site.whole(), None, site.strategy(cuts(1, 2, {**MODEL, **LORA}))).groups == [[0], [1]]


def test_states_of_optimizers_and_counters_are_not_missed_nor_taken_for_weights(site: Site) -> None:
    """A run's strategy knows all that it trains with; the weights alone are what a checkpoint has to hold."""
    states = {f"{state}.{name}": tensor for state in ("adam_m", "new_optimizer") for name, tensor in MODEL.items()}
    strategy = site.strategy(cuts(1, 2, {**MODEL, **states, "global_step": COUNTER["epoch_num"]}))
    assert sorted(site.plan(site.whole(), None, strategy).expected(0)) == sorted(MODEL)
    assert sorted(site.plan(site.slices(2, 2), strategy, None).full) == sorted(MODEL)
    bare = site.strategy(cuts(1, 2))
    assert site.plan(site.whole(**{"new_optimizer.norm.weight": floats((4,))}, **COUNTER), None, bare).left_out == (
        "epoch_num",
        "new_optimizer.norm.weight",
    )


def test_a_slice_without_a_parameter_of_its_strategy(site: Site) -> None:
    message = site.refusal(
        site.slices(2, 2), site.strategy(cuts(1, 2, {**MODEL, "w1.weight": MODEL["wo.weight"]})), None
    )
    assert "lacks w1.weight, which its strategy says it has" in message


def test_ranks_that_contradict_each_other(site: Site) -> None:
    path = site.slices(2, 2)
    write_checkpoint(path / "rank_1/m-1_5.ckpt", {**MODEL, "tok.weight": floats((4, 4))})
    assert "the strategy is not of this checkpoint" in site.refusal(path, site.strategy(cuts(1, 2)), None)


def test_a_model_that_the_target_is_not_of(site: Site) -> None:
    more = site.strategy(cuts(1, 2, {**MODEL, "w9.weight": MODEL["wo.weight"]}))
    assert "has w9.weight, which the checkpoint lacks" in site.refusal(site.whole(), None, more)
    wider = site.strategy({**cuts(1, 2), "norm.weight": Cut((1, 2), (-1, -1))})
    assert "norm.weight has 1 dimensions, but its layout cuts 2" in site.refusal(site.whole(), None, wider)


def test_a_shape_that_can_not_be_cut_so_often(site: Site) -> None:
    assert "tok.weight has the shape (8, 4), which can't be cut into 3 x 1 parts" in site.refusal(
        site.whole(), None, site.strategy({**cuts(1, 3), "wo.weight": Cut((1, 3), (-1, -1))})
    )


def test_the_fingerprint_changes_with_files_and_strategies(site: Site) -> None:
    two, four = site.strategy(cuts(1, 2)), site.strategy(cuts(1, 4))
    path = site.whole()
    first = site.plan(path, None, two).fingerprint()
    assert site.plan(path, None, two).fingerprint() == first
    assert site.plan(path, None, four).fingerprint() != first
    site.whole(**COUNTER)
    assert site.plan(path, None, two).fingerprint() != first
