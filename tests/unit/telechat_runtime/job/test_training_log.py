# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telechat_runtime.job.training_log import Speed, Step, metric_rank, parse_line

# Printed by MindFormers 1.8.0 and 1.4.0.beta1 (TeleChat2's fork).
WHEEL = (
    "2026-11-23 16:31:05,128 - mindformers[mindformers/core/callback/callback.py:519] - INFO - { Epoch:[  1/  2], "
    "step:[    1/   11], loss:[7.618/7.618], per_step_time: 9591ms, lr: 0.001, overflow cond: False, "
    "loss_scale: 1.0, global_norm: [5.024941], train_throughput_per_npu: 0.000T"
)
TREE = (
    "2026-11-23 17:21:15,120 - mindformers/job/output/log[mindformers/core/callback/callback.py:616] - INFO - "
    "{ Epoch:[  2/  2], step:[    8/   11], loss:[7.365869/7.520005], per_step_time: 37ms, lr: 0.0007932884, "
    "overflow cond: False, loss_scale: 1.0"
)
SINK = "{ Epoch:[  1/  2], step:[    5/ 1000], loss: 2.345, per_step_time: 1234ms, lr: 1e-05, overflow cond: False"
SPEED = (
    "2026-11-23 16:31:05,131 - mindformers[mindformers/core/callback/callback.py:539] - INFO -    "
    "4.5% |██        | 0.20853 samples/s/p  0:03:21 }"
)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (WHEEL, Step(1, 2, 1, 11, 7.618, 9591, 0.001)),
        (TREE, Step(2, 2, 8, 11, 7.365869, 37, 0.0007932884)),
        (SINK, Step(1, 2, 5, 1000, 2.345, 1234, 1e-05)),
        (SPEED, Speed(0.20853, "0:03:21")),
        ("   0.5% |█    | 12 samples/s/p  2 days, 10:12:34 }", Speed(12.0, "2 days, 10:12:34")),
        ("[WARNING] Topology build timed out., retry(1/240)", None),
        ("", None),
    ],
)
def test_lines_as_mindformers_prints_them(line: str, expected: object) -> None:
    assert parse_line(line) == expected


def test_steps_count_over_epochs() -> None:
    step = parse_line(TREE)
    assert isinstance(step, Step)
    assert (step.number, step.total) == (19, 22)


@pytest.mark.parametrize("loss", ["nan", "inf", "-inf"])
def test_a_loss_that_is_no_number_is_told(loss: str) -> None:
    step = parse_line(SINK.replace("2.345", loss))
    assert isinstance(step, Step)
    assert step.diverged


@given(
    epoch=st.integers(1, 999),
    step=st.integers(1, 99999),
    loss=st.floats(0, 1e6),
    ms=st.integers(0, 10**7),
    lr=st.floats(1e-12, 1),
    sink=st.booleans(),
)
def test_any_progress_is_read_back(*, epoch: int, step: int, loss: float, ms: int, lr: float, sink: bool) -> None:
    shown = f"loss: {loss}" if sink else f"loss:[{loss}/{loss}]"
    line = f"{{ Epoch:[{epoch:>3}/999], step:[{step:>5}/99999], {shown}, per_step_time: {ms}ms, lr: {lr}, overflow"
    parsed = parse_line(line)
    assert isinstance(parsed, Step)
    assert (parsed.epoch, parsed.step, parsed.per_step_ms, parsed.learning_rate) == (epoch, step, ms, lr)
    assert math.isclose(parsed.loss, loss)


@given(st.text())
def test_no_line_is_too_strange(line: str) -> None:
    parse_line(line)
    parse_line("{ Epoch:[" + line)


def test_only_the_last_stage_knows_the_loss() -> None:
    assert metric_rank(16, 1) == 0
    assert metric_rank(16, 4) == 15
