# SPDX-License-Identifier: Apache-2.0
"""The states of a job on one node, and where its files lie.

    STARTING -> RUNNING -> SUCCEEDED | FAILED | STOPPED

LOST is no state that a node writes: a reader reports it when the state says running but the supervisor is gone.
"""

from __future__ import annotations

import enum
from typing import Dict, FrozenSet


class JobState(str, enum.Enum):
    """State of a job on one node."""

    STARTING = "STARTING"
    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    STOPPED = "STOPPED"
    LOST = "LOST"

    def __str__(self) -> str:
        return self.value

    @property
    def is_terminal(self) -> bool:
        """Tell whether the job has ended on that node."""
        return not TRANSITIONS[self]

    def may_become(self, other: JobState) -> bool:
        """Tell whether `other` may follow this state."""
        return other in TRANSITIONS[self]


_ENDS = frozenset({JobState.SUCCEEDED, JobState.FAILED, JobState.STOPPED, JobState.LOST})

TRANSITIONS: Dict[JobState, FrozenSet[JobState]] = {
    JobState.STARTING: frozenset({JobState.RUNNING, JobState.FAILED, JobState.STOPPED, JobState.LOST}),
    JobState.RUNNING: _ENDS,
    JobState.SUCCEEDED: frozenset(),
    JobState.FAILED: frozenset(),
    JobState.STOPPED: frozenset(),
    JobState.LOST: frozenset(),
}
