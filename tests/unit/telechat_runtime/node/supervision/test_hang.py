# SPDX-License-Identifier: Apache-2.0
"""Steps that stop coming, by a clock of the test's own."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telechat_runtime.job.paths import JobPaths
from telechat_runtime.node.supervision.hang import HangWatch

LINE = "{{ Epoch:[  1/  1], step:[{:>5}/  100], loss:[2.3/2.4], per_step_time: 91ms, lr: 1e-05, overflow cond: False\n"


class Training:
    """A worker that writes steps, a clock, and the watch on both: ten usual steps, at least thirty seconds."""

    def __init__(self, folder: Path, *, factor: float = 10, floor: float = 30) -> None:
        self.paths = JobPaths(str(folder), "job-1")
        Path(self.paths.logs).mkdir(parents=True)
        self.now = 1000.0
        self.number = 0
        self.watch = HangWatch(self.paths, 8, factor=factor, floor_seconds=floor, clock=lambda: self.now)

    def step(self, seconds: float, count: int = 1) -> str:
        """Let time pass, write steps, look."""
        self.now += seconds
        with Path(self.paths.worker_log(8)).open("a") as log:
            for _ in range(count):
                self.number += 1
                log.write(LINE.format(self.number))
        return self.watch.look()

    def wait(self, seconds: float) -> str:
        self.now += seconds
        return self.watch.look()


@pytest.fixture
def training(tmp_path: Path) -> Training:
    return Training(tmp_path)


def test_no_step_for_many_times_the_usual(training: Training) -> None:
    assert [training.step(seconds) for seconds in (500, 5, 4, 6)] == [""] * 4
    assert training.wait(50) == ""
    assert training.wait(1) == "hangs: no step for 51 s after step 4 of 100; usual are 5.0 s"


def test_quick_steps_have_the_floor(training: Training) -> None:
    for _ in range(5):
        training.step(0.1)
    assert training.wait(29) == ""
    assert training.wait(2).startswith("hangs: no step for 31 s after step 5")


def test_nothing_is_known_before_the_third_step(training: Training) -> None:
    assert training.wait(100_000) == ""
    training.step(1)
    training.step(1)
    assert training.wait(100_000) == ""


def test_a_slow_step_is_no_hang_and_does_not_change_what_is_usual(training: Training) -> None:
    for seconds in (1, 5, 5, 5, 5, 49, 5):
        assert training.step(seconds) == ""
    assert training.wait(51).endswith("usual are 5.0 s")


def test_steps_between_two_looks_share_the_time(training: Training) -> None:
    training.step(1)
    training.step(40, count=10)
    training.step(40, count=10)
    assert training.wait(41).endswith("usual are 4.0 s")


def test_after_the_last_step_nothing_is_waited_for(training: Training) -> None:
    for _ in range(100):
        training.step(1)
    assert training.wait(100_000) == ""


def test_a_factor_of_nought_means_that_nobody_looks(tmp_path: Path) -> None:
    training = Training(tmp_path, factor=0)
    for _ in range(5):
        training.step(1)
    assert training.wait(100_000) == ""


@given(pauses=st.lists(st.floats(0.1, 9.9), min_size=3, max_size=30))
def test_steps_that_keep_coming_are_never_a_hang(pauses: list[float], tmp_path_factory: pytest.TempPathFactory) -> None:
    training = Training(tmp_path_factory.mktemp("job"), floor=10)
    assert [training.step(pause) for pause in pauses] == [""] * len(pauses)
