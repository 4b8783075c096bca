# SPDX-License-Identifier: Apache-2.0
"""How long a plan takes on this host: from what its steps took there before, else from the inventory. Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple, Tuple

from ansible.module_utils.hdk.state import CLEAN, REBOOT, START, STOP, UNINSTALL, HdkFacts, HdkWish, Step

# docker gives a container's processes ten seconds to end.
_STOP_SECONDS = 10
_START_SECONDS = 2
_CLEAN_SECONDS = 1
_MINUTE = 60


class Estimate(NamedTuple):
    """Seconds of a plan: without the steps that have a condition, and with all of them."""

    least: int
    most: int

    def __str__(self) -> str:
        """Say it in minutes, as the plan's line ends with it."""
        least, most = _minutes(self.least), _minutes(self.most)
        return f"about {most} min" if least == most else f"about {least} to {most} min"


def with_seconds(steps: Tuple[Step, ...], facts: HdkFacts, wish: HdkWish) -> Tuple[Step, ...]:
    """Return the steps with the seconds that each is expected to take."""
    return tuple(replace(step, seconds=_seconds(step, facts, wish)) for step in steps)


def estimate(steps: Tuple[Step, ...]) -> Estimate:
    """Add up the steps' seconds."""
    return Estimate(
        least=sum(step.seconds for step in steps if step.condition is None), most=sum(step.seconds for step in steps)
    )


def _seconds(step: Step, facts: HdkFacts, wish: HdkWish) -> int:
    if step.action == STOP:
        return _STOP_SECONDS
    if step.action == START:
        return _START_SECONDS
    if step.action == CLEAN:
        return _CLEAN_SECONDS
    kind = step.action if step.action in (UNINSTALL, REBOOT) else str(step.component)
    return int(facts.seconds.get(kind) or wish.durations.get(kind, 0))


def _minutes(seconds: int) -> int:
    return max(1, round(seconds / _MINUTE))
