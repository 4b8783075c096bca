# SPDX-License-Identifier: Apache-2.0
"""Answers to `node status`, `start`, `stop` and `sweep`: the jobs of a node, and what they leave."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Mapping, Optional, Tuple

from telechat_runtime.job.failure import Failure, failure_of
from telechat_runtime.job.state import JobState
from telechat_runtime.remote.answers.probe import Lease, OutOfService
from telechat_runtime.typed_json import DocumentError, read_whole_by


def _failure_in(document: Mapping[str, Any]) -> Optional[Failure]:
    try:
        return failure_of(document)
    except ValueError as error:
        raise DocumentError(str(error)) from error


_FAILURE = read_whole_by(_failure_in)
"""Metadata of `failure`, why a job's part ended: 0.1 says so in other fields (see job.failure.failure_of)."""


@dataclass(frozen=True)
class PartState:
    """How a node's part of a job stands: `failure` says why it ended, `reason` says so to people.

    `cause` is the node whose end has ended this one's part, if another one did.
    """

    state: JobState
    exit_code: Optional[int]
    reason: str
    failed_rank: Optional[int]
    cause: str
    failure: Optional[Failure] = field(metadata=_FAILURE)


@dataclass(frozen=True)
class JobPart(PartState):
    """A job on one node."""

    job_id: str
    kind: str
    owner: str
    started: str
    ended: Optional[str]


@dataclass(frozen=True)
class StatusAnswer:
    """Who holds a node, and its jobs; `stale_lease` is the record of a holder that is gone."""

    lease: Optional[Lease]
    service: Optional[OutOfService]
    jobs: Tuple[JobPart, ...]
    stale_lease: Optional[Lease] = None


@dataclass(frozen=True)
class StartAnswer:
    """A job that runs."""

    job_id: str
    state: JobState
    supervisor_pid: int


@dataclass(frozen=True)
class StopAnswer(PartState):
    """A job after its stop: its last state, which processes were ended, and which outlived it."""

    job_id: str
    ended: Tuple[int, ...]
    left: Tuple[int, ...]
    event: str = "stopped"


@dataclass(frozen=True)
class SweepFinding:
    """Something that a dead job left; `ours` when it may be cleaned, else `why` not; `done` is what became of it.

    `gone` says whether it is gone by now; a runtime before protocol 2 says so in words only.
    """

    kind: str
    job_id: str
    detail: str
    ours: bool
    why: str
    done: str
    gone: Optional[bool] = None


@dataclass(frozen=True)
class SweepAnswer:
    """What dead jobs left on a server."""

    findings: Tuple[SweepFinding, ...]
