# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Dict, List, Mapping, Optional, Sequence, Set

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telechat_runtime.errors import PreflightError, SpecError
from telechat_runtime.finetune.latest_checkpoint import (
    NodeSteps,
    RankPlacement,
    SavedStep,
    check_world_size,
    choose_step,
    node_steps,
)
from telechat_runtime.remote.answers.checkpoints import SavedStepsAnswer
from telechat_runtime.typed_json import parse

FOLDER = "/out/checkpoint"


def saved(rank: int, number: int, problem: str = "") -> SavedStep:
    return SavedStep(f"{FOLDER}/rank_{rank}/tiny_rank_{rank}-1_{number}.ckpt", 1, number, number, problem)


def node(ranks: Mapping[int, Sequence[SavedStep]]) -> NodeSteps:
    return NodeSteps(FOLDER, {rank: tuple(steps) for rank, steps in ranks.items()})


def two_nodes(*, interchangeable: bool = False) -> RankPlacement:
    return RankPlacement(then=4, now={"node0": [0, 1], "node1": [2, 3]}, interchangeable=interchangeable)


def test_the_latest_complete_checkpoint() -> None:
    steps = {
        "node0": node({0: [saved(0, 5), saved(0, 10), saved(0, 15)], 1: [saved(1, 5), saved(1, 10), saved(1, 15)]}),
        "node1": node({2: [saved(2, 5), saved(2, 10), saved(2, 15, "torn")], 3: [saved(3, 5), saved(3, 10)]}),
    }
    resume = choose_step("job-1", two_nodes(), steps)
    assert resume
    assert (resume.number, resume.name, resume.file_format) == (10, "checkpoint_rank_0-1_10.ckpt", "ckpt")
    assert resume.links["node1"] == (
        ("resume/rank_2/checkpoint_rank_2-1_10.ckpt", f"{FOLDER}/rank_2/tiny_rank_2-1_10.ckpt"),
        ("resume/rank_3/checkpoint_rank_3-1_10.ckpt", f"{FOLDER}/rank_3/tiny_rank_3-1_10.ckpt"),
    )
    assert resume.notes == ("passed over: node1, rank 2: torn",)


def test_nothing_saved_is_no_step_and_files_without_a_common_step_are_an_error() -> None:
    empty = {name: node({}) for name in ("node0", "node1")}
    assert choose_step("job-1", two_nodes(), empty) is None
    apart = {
        "node0": node({0: [saved(0, 5)], 1: [saved(1, 5)]}),
        "node1": node({2: [saved(2, 10)], 3: [saved(3, 10, "torn")]}),
    }
    with pytest.raises(PreflightError, match=r"no step that every rank can load\nnode1, rank 3: torn"):
        choose_step("job-1", two_nodes(), apart)


def test_a_rank_whose_file_is_out_of_sight_is_named() -> None:
    moved = {"node0": node({0: [saved(0, 5)], 1: [saved(1, 5)]}), "node7": NodeSteps("", {})}
    ranks = RankPlacement(then=4, now={"node0": [0, 1], "node7": [2, 3]}, interchangeable=False)
    with pytest.raises(PreflightError) as caught:
        choose_step("job-1", ranks, moved)
    assert "node7 has no checkpoint of rank 2, 3 (it has no folder of that job)" in caught.value.message
    assert "telechat_shared_paths" in caught.value.next_step


def test_where_every_file_is_the_whole_training_any_serves_every_rank() -> None:
    ranks = RankPlacement(then=2, now={"node0": [0, 1], "node1": [2, 3]}, interchangeable=True)
    check_world_size("job-1", ranks)
    steps = {
        "node0": node({0: [saved(0, 5, "torn"), saved(0, 4)], 1: [saved(1, 5)]}),
        "node1": node({1: [saved(1, 5)]}),
    }
    resume = choose_step("job-1", ranks, steps)
    assert resume
    assert resume.number == 5
    assert [source for links in resume.links.values() for _, source in links] == [
        f"{FOLDER}/rank_1/tiny_rank_1-1_5.ckpt"
    ] * 4
    assert [link for link, _ in resume.links["node1"]] == [
        "resume/rank_2/checkpoint_rank_2-1_5.ckpt",
        "resume/rank_3/checkpoint_rank_3-1_5.ckpt",
    ]


def test_a_cut_training_goes_on_with_as_many_workers_only() -> None:
    with pytest.raises(SpecError, match="had 8 workers and this one has 4: its model or its optimizer is cut"):
        check_world_size("job-1", RankPlacement(then=8, now={"node0": [0, 1, 2, 3]}, interchangeable=False))
    check_world_size("job-1", two_nodes())


@given(
    files=st.lists(st.dictionaries(st.integers(1, 6), st.booleans(), max_size=6), min_size=4, max_size=4),
    interchangeable=st.booleans(),
)
def test_a_chosen_step_is_whole_for_all_and_none_that_is_whole_is_newer(
    files: List[Dict[int, bool]], interchangeable: bool
) -> None:
    ranks = {
        rank: [saved(rank, number, "" if whole else "torn") for number, whole in sorted(steps.items())]
        for rank, steps in enumerate(files)
    }
    steps = {"node0": node({0: ranks[0], 1: ranks[1]}), "node1": node({2: ranks[2], 3: ranks[3]})}
    wholes = [{number for number, whole in each.items() if whole} for each in files]
    if interchangeable:
        wholes = [wholes[0] | wholes[1], wholes[2] | wholes[3]]
    common: Set[int] = set.intersection(*wholes)
    expected: Optional[int] = max(common) if common else None
    try:
        resume = choose_step("job-1", two_nodes(interchangeable=interchangeable), steps)
    except PreflightError:
        assert expected is None
        return
    if resume is None:
        assert not any(files)
        return
    assert resume.number == expected
    by_path = {step.path: step for each in ranks.values() for step in each}
    chosen = [by_path[source] for links in resume.links.values() for _, source in links]
    assert all(step.number == expected and not step.problem for step in chosen)
    assert len(chosen) == 4


def test_the_files_of_an_answer_get_their_paths() -> None:
    step = {"file": "t_rank_0-1_2.ckpt", "epoch": 1, "step": 2, "number": None, "problem": "torn", "bytes": 3}
    steps = node_steps(parse(SavedStepsAnswer, {"folder": "/out", "ranks": {"0": [step]}}))
    assert steps.ranks[0] == (SavedStep("/out/rank_0/t_rank_0-1_2.ckpt", 1, 2, None, "torn"),)
    assert node_steps(SavedStepsAnswer(folder=None, ranks={})) == NodeSteps(folder="", ranks={})
