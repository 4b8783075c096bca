# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import itertools
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telechat_runtime.node.programs.checkpoints.strategy import (
    Layout,
    Strategy,
    StrategyError,
    is_weight,
    read_strategy,
    strategy_files,
)
from tests.support.checkpoint_files import Cut, write_strategies, write_strategy

ROWS = Cut((2, 4), (0, -1))
WHOLE = Cut((2, 4), (-1,))


def read(folder: Path) -> Strategy:
    return read_strategy(strategy_files(str(folder)))


def test_the_rank_files_of_a_run(tmp_path: Path) -> None:
    strategy = read(write_strategies(tmp_path, [{"a.weight": ROWS, "n.weight": WHOLE}]))
    assert (strategy.world_size, strategy.devices_per_stage, strategy.names) == (8, 8, {"a.weight", "n.weight"})
    assert strategy.layouts(7)["a.weight"].cuts() == (4, 1)
    assert strategy.replicas() == [[0, 4], [1, 5], [2, 6], [3, 7]]


def test_a_merged_file_of_two_stages_says_the_same_as_its_rank_files(tmp_path: Path) -> None:
    stages = [{"a.weight": ROWS}, {"b.weight": ROWS}]
    merged = {f"{stage}-{name}": cut for stage, cuts in enumerate(stages) for name, cut in cuts.items()}
    write_strategies(tmp_path / "ranks", stages)
    write_strategy(tmp_path / "merged" / "merged_ckpt_strategy.ckpt", merged)
    ranks = read(tmp_path / "ranks")
    assert ranks == read(tmp_path / "merged")
    assert ranks.world_size == 16
    assert list(ranks.layouts(8)) == ["b.weight"]


def test_a_merged_file_beside_the_rank_files_is_left_alone(tmp_path: Path) -> None:
    write_strategies(tmp_path, [{"a.weight": ROWS}])
    write_strategy(tmp_path / "merged_ckpt_strategy.ckpt", {"0-other.weight": ROWS})
    assert read(tmp_path).names == {"a.weight"}


def test_what_the_optimizer_cuts_once_more(tmp_path: Path) -> None:
    write_strategies(tmp_path, [{"a.weight": Cut((4, 2), (0, -1), 2, 4), "b.weight": Cut((4, 2), (-1, 0), 2, -1)}])
    strategy = read(tmp_path)
    assert [strategy.layouts(0)[name].cuts() for name in ("a.weight", "b.weight")] == [(8, 1), (4, 2)]
    assert strategy.replicas() == [[rank] for rank in range(8)]


def test_a_stage_whose_files_were_not_gathered(tmp_path: Path) -> None:
    write_strategies(tmp_path, [{"a.weight": ROWS}, {"b.weight": ROWS}])
    for rank in range(8):
        (tmp_path / f"ckpt_strategy_rank_{rank}.ckpt").unlink()
    with pytest.raises(
        StrategyError, match="lacks the strategy of pipeline stage 0 of 2: gather the files of all nodes"
    ):
        read(tmp_path)


def test_files_of_two_runs_in_one_folder(tmp_path: Path) -> None:
    write_strategy(tmp_path / "s_rank_0.ckpt", {"a.weight": ROWS})
    write_strategy(tmp_path / "s_rank_1.ckpt", {"a.weight": Cut((2, 4), (-1, 0))})
    with pytest.raises(StrategyError, match="in another way than the files before"):
        read(tmp_path)


def test_stages_of_different_sizes(tmp_path: Path) -> None:
    write_strategy(tmp_path / "s_rank_0.ckpt", {"a.weight": ROWS, "b.weight": Cut((2,), (0,))})
    with pytest.raises(StrategyError, match="different sizes: 2, 8 devices"):
        read(tmp_path)


@pytest.mark.parametrize(
    ("names", "message"),
    [((), "holds no .ckpt file"), (("a.ckpt", "b.ckpt"), "holds 2 files, none of them named …_rank_N.ckpt")],
)
def test_a_folder_without_strategies(tmp_path: Path, names: tuple[str, ...], message: str) -> None:
    for name in names:
        (tmp_path / name).write_bytes(b"")
    with pytest.raises(StrategyError, match=message):
        read(tmp_path)


def test_a_path_that_is_missing_and_a_file_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(StrategyError, match="does not exist"):
        read(tmp_path / "none")
    (tmp_path / "s_rank_0.ckpt").write_bytes(b"\xff\xff\xff")
    with pytest.raises(StrategyError, match="is no strategy file"):
        read(tmp_path)
    (tmp_path / "s_rank_0.ckpt").write_bytes(b"")
    with pytest.raises(StrategyError, match="holds no layout"):
        read(tmp_path)


def test_a_counter_of_one_device_says_nothing_of_the_stage(tmp_path: Path) -> None:
    write_strategies(tmp_path, [{"a.weight": ROWS}])
    for path in tmp_path.iterdir():
        write_strategy(path, {"global_step": Cut((1,), ()), "a.weight": ROWS})
    strategy = read(tmp_path)
    assert (strategy.world_size, strategy.replicas()[0]) == (8, [0, 4])


def test_an_axis_that_the_matrix_lacks(tmp_path: Path) -> None:
    write_strategy(tmp_path / "s_rank_0.ckpt", {"a.weight": Cut((2,), (1, -1))})
    with pytest.raises(StrategyError, match="names an axis that the device matrix"):
        read(tmp_path)


layouts = st.lists(st.integers(1, 4), min_size=1, max_size=3).flatmap(
    lambda matrix: st.permutations(range(len(matrix))).map(
        lambda axes: Layout(tuple(matrix), tuple((axis,) for axis in axes[: max(1, len(axes) - 1)]))
    )
)


@given(layout=layouts)
def test_replicas_hold_the_same_slice_and_every_slice_is_held(layout: Layout) -> None:
    groups = Strategy(stages=({"w": layout},)).replicas()
    assert sorted(itertools.chain(*groups)) == list(range(layout.devices))
    assert len(groups) == math.prod(layout.cuts())
    assert len({layout.coordinates(group[0]) for group in groups}) == len(groups)


def test_what_is_the_optimizers() -> None:
    assert is_weight("model.layers.0.attention.wq.weight")
    assert not any(
        map(is_weight, ("adam_m.model.wq.weight", "adam_v.lm_head.weight", "accu_grads.lm_head.weight", "global_step"))
    )
