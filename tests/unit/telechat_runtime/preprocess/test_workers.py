# SPDX-License-Identifier: Apache-2.0
"""Answers come in the order of the questions, and a worker that dies is a failure with a reason."""

from __future__ import annotations

import os
import signal
from typing import Callable

import pytest

from telechat_runtime.errors import JobFailedError
from telechat_runtime.preprocess.workers import OrderedWorkers


def squares() -> Callable[[int], int]:
    return lambda number: number * number


def dies_at_three() -> Callable[[int], int]:
    def answer(number: int) -> int:
        if number == 3:
            os.kill(os.getpid(), signal.SIGKILL)
        return number

    return answer


def fails() -> Callable[[int], int]:
    return lambda number: 1 // (number - 2)


@pytest.mark.parametrize("count", [1, 3])
def test_answers_come_in_the_order_of_the_tasks(count: int) -> None:
    with OrderedWorkers(count, squares) as workers:
        assert list(workers.map(range(40))) == [number * number for number in range(40)]


def test_a_killed_worker_is_told_with_its_signal() -> None:
    with (
        pytest.raises(JobFailedError, match="ended before its time, with -9"),
        OrderedWorkers(2, dies_at_three) as workers,
    ):
        list(workers.map(range(40)))


def test_an_error_in_a_worker_is_not_swallowed() -> None:
    with pytest.raises(RuntimeError, match="ZeroDivisionError"), OrderedWorkers(2, fails) as workers:
        list(workers.map(range(40)))
