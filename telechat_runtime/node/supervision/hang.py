# SPDX-License-Identifier: Apache-2.0
"""Notices that a training goes on no more: no step for many times as long as a step usually takes.

Steps are seen in the log of this node's first worker. Before the third step nothing is known of their usual time: the
first takes the compilation of the whole graph with it. After the last step there is nothing to wait for.
"""

from __future__ import annotations

import statistics
import time
from collections import deque
from typing import Any, Callable, Deque, Mapping, Optional

from telechat_runtime.job.paths import JobPaths
from telechat_runtime.job.training_log import Step, parse_line
from telechat_runtime.node.logs.follow import LogFollower

_INTERVALS_NEEDED = 2
_INTERVALS_KEPT = 100


class HangWatch:
    """Sees the steps of one worker; `look` tells in words when they have stopped coming."""

    def __init__(
        self,
        paths: JobPaths,
        rank: int,
        *,
        factor: float,
        floor_seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._follower = LogFollower(paths.logs, ranks=[rank], offsets={})
        self._factor = factor
        self._floor_seconds = floor_seconds
        self._clock = clock
        self._intervals: Deque[float] = deque(maxlen=_INTERVALS_KEPT)
        self._last: Optional[Step] = None
        self._last_at = 0.0

    def look(self) -> str:
        """Return why the job counts as hanging, or nothing."""
        now = self._clock()
        if not self._factor:
            return ""
        steps = [step for step in map(_step_of, self._follower.read()) if step is not None]
        if steps:
            self._take(steps[-1], now)
        if self._last is None or self._last.number >= self._last.total or len(self._intervals) < _INTERVALS_NEEDED:
            return ""
        usual = statistics.median(self._intervals)
        waited = now - self._last_at
        if waited <= max(self._factor * usual, self._floor_seconds):
            return ""
        return (
            f"hangs: no step for {waited:.0f} s after step {self._last.number} of {self._last.total}; "
            f"usual are {usual:.1f} s"
        )

    def _take(self, step: Step, now: float) -> None:
        if self._last is not None and step.number > self._last.number:
            # Those between two looks share the time.
            self._intervals.append((now - self._last_at) / (step.number - self._last.number))
        self._last, self._last_at = step, now


def _step_of(event: Mapping[str, Any]) -> Optional[Step]:
    found = parse_line(event["line"])
    return found if isinstance(found, Step) else None
