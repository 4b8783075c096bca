# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from telechat_runtime.errors import ConfigError
from telechat_runtime.training.layout import Job, Layout, check, problems
from telechat_runtime.training.model_shape import SHAPES

LAYOUT = Layout(dp=2, mp=4, pp=2, micro_batch_num=8)
JOB = Job(shape=SHAPES["7b"], cards=16, cards_per_node=8, seq_length=8192)


def test_a_layout_that_obeys_every_rule() -> None:
    assert problems(LAYOUT, JOB) == []


@pytest.mark.parametrize(
    ("layout", "job", "message"),
    [
        (
            {"dp": 4},
            {},
            (
                "parallel_config is data_parallel 4 x model_parallel 4 x pipeline_stage 2 x context_parallel 1 = 32, "
                "but the job has 16 workers"
            ),
        ),
        ({"dp": 1, "mp": 16, "pp": 1}, {}, "model_parallel 16 is more than the 8 cards of a node"),
        ({"micro_batch_num": 1}, {}, "micro_batch_num 1 is less than pipeline_stage 2"),
        ({}, {"shape": replace(SHAPES["7b"], heads=30, kv_heads=30)}, "num_heads 30 is not divisible by"),
        ({}, {"shape": replace(SHAPES["7b"], kv_heads=2)}, "n_kv_heads 2 is not divisible by model_parallel 4"),
        ({}, {"shape": replace(SHAPES["7b"], ffn=12290)}, "intermediate_size 12290 is not divisible by"),
        ({}, {"shape": replace(SHAPES["7b"], vocab=131070)}, "vocab_size 131070 is not divisible by"),
        ({"pp": 4, "dp": 1}, {"shape": replace(SHAPES["7b"], layers=3)}, "pipeline_stage 4 is more than the 3 layers"),
        ({"ep": 2}, {}, "expert_parallel 2 is for models with experts"),
        ({"ep": 4}, {"shape": SHAPES["39b-a12b"]}, "data_parallel 2 is not divisible by expert_parallel 4"),
        ({"ep": 2}, {"shape": replace(SHAPES["39b-a12b"], experts=12)}, "12 experts are not divisible by"),
        ({}, {"seq_length": 8190}, r"seq_length 8190 is not divisible by 4 \(context_parallel x model_parallel"),
        ({}, {"seq_length": 8196, "fine_grain_interleave": 2}, "seq_length 8196 is not divisible by 8"),
        ({"cp": 2, "dp": 1}, {"seq_length": 8191}, "seq_length 8191 is not divisible by context_parallel 2"),
        (
            {"cp": 2, "dp": 1},
            {"seq_length": 8190, "load_balance": True},
            "seq_length 8190 is not divisible by context_parallel 2, twice that with load balance,",
        ),
    ],
)
def test_each_rule(layout: Any, job: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        check(replace(LAYOUT, **layout), replace(JOB, **job), next_step="take another")
    assert caught.value.next_step == "take another"
    assert caught.value.exit_code == 3


def test_experts_are_not_cut_by_model_parallel() -> None:
    shape = replace(SHAPES["39b-a12b"], ffn=6145)
    assert problems(replace(LAYOUT, ep=2), replace(JOB, shape=shape)) == []


def test_a_sequence_that_stays_whole_needs_no_even_length() -> None:
    assert problems(LAYOUT, replace(JOB, seq_length=8191, sequence_parallel=False)) == []


def test_all_problems_are_told_at_once() -> None:
    found = problems(Layout(dp=3, mp=3, pp=2), JOB)
    assert len(found) == 7


def test_a_layout_as_options_that_give_it_again() -> None:
    assert Layout(dp=2, mp=4, pp=1).options() == "--dp 2 --mp 4 --pp 1"
    assert replace(LAYOUT, cp=2, ep=2).options() == "--dp 2 --mp 4 --pp 2 --cp 2 --ep 2 --micro-batch-num 8"
