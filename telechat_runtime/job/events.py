# SPDX-License-Identifier: Apache-2.0
"""What happens during a job, as values: launch tells them, progress shows them, report sums them up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Callable, Optional, Tuple, Union

from telechat_runtime.job.failure import Failure
from telechat_runtime.job.state import JobState
from telechat_runtime.job.training_log import Speed, Step


@dataclass(frozen=True)
class LogLine:
    """A line of a worker's log; `rank` is None for msrun's and the scheduler's own logs."""

    node: str
    rank: Optional[int]
    log: str
    text: str


@dataclass(frozen=True)
class Training:
    """A progress line of the worker whose loss counts."""

    what: Union[Step, Speed]


@dataclass(frozen=True)
class NodeState:
    """A node's part of the job has a new state."""

    node: str
    state: JobState
    reason: str = ""


@dataclass(frozen=True)
class Notice:
    """Something the user should know: a stop begins, a node can't be reached."""

    text: str


Event = Union[LogLine, Training, NodeState, Notice]
Observer = Callable[[Event], None]


@dataclass(frozen=True)
class NodeOutcome:
    """How a node's part of the job ended; `failure` is why, `left` are process ids that outlived a stop."""

    node: str
    node_rank: int
    state: JobState
    exit_code: Optional[int] = None
    reason: str = ""
    failed_rank: Optional[int] = None
    failure: Optional[Failure] = None
    left: Tuple[int, ...] = ()
    last_lines: Tuple[str, ...] = ()
