# SPDX-License-Identifier: Apache-2.0
"""Which of several processes that failed at once is the one that failed first."""

from __future__ import annotations

import itertools
from typing import Dict, Optional, Set

import pytest

from telechat_runtime.node.supervision.workers import SCHEDULER, Crash, first_of

SCHEDULER_PID = 10
RANK_0, RANK_1 = 20, 21


@pytest.mark.parametrize(
    ("exit_codes", "named", "first"),
    [
        # A worker that loses its scheduler is ended by MindSpore, and msrun names that worker.
        pytest.param({SCHEDULER_PID: -9, RANK_0: -15}, {RANK_0}, SCHEDULER_PID, id="scheduler-killed"),
        pytest.param({SCHEDULER_PID: -9, RANK_0: -15}, set(), SCHEDULER_PID, id="scheduler-killed-and-not-named-yet"),
        pytest.param({SCHEDULER_PID: -9, RANK_0: -15, RANK_1: -9}, {RANK_0}, SCHEDULER_PID, id="and-the-rest-killed"),
        pytest.param({SCHEDULER_PID: 1, RANK_0: -11}, {RANK_0}, RANK_0, id="scheduler-misses-a-crashed-worker"),
        # msrun logs no exit code of a scheduler.
        pytest.param({SCHEDULER_PID: None, RANK_0: -15}, {SCHEDULER_PID, RANK_0}, SCHEDULER_PID, id="scheduler-fails"),
        pytest.param({SCHEDULER_PID: None, RANK_0: 3}, {SCHEDULER_PID, RANK_0}, RANK_0, id="scheduler-misses-a-worker"),
        # msrun ends the other workers by SIGKILL after it has named the first.
        pytest.param({RANK_0: -9, RANK_1: 3}, {RANK_1}, RANK_1, id="worker-exits"),
        pytest.param({RANK_0: -9, RANK_1: -9}, {RANK_1}, RANK_1, id="worker-killed"),
        pytest.param({RANK_0: -9, RANK_1: -15}, {RANK_1}, RANK_1, id="worker-ended"),
        pytest.param({RANK_0: -9, RANK_1: 3}, set(), RANK_1, id="worker-exits-and-is-not-named-yet"),
    ],
)
def test_the_crash_that_brought_on_the_others(
    exit_codes: Dict[int, Optional[int]], named: Set[int], first: int
) -> None:
    crashes = {
        pid: Crash(role=SCHEDULER if pid == SCHEDULER_PID else "MS_WORKER", rank=None, exit_code=exit_code)
        for pid, exit_code in exit_codes.items()
    }
    for order in itertools.permutations(crashes.items()):
        assert first_of(order, named=named) == crashes[first]
