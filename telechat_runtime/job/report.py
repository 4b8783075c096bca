# SPDX-License-Identifier: Apache-2.0
"""How a job ended: for people as text, for programs as data, for the shell as an exit code."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Dict, List, Optional, Tuple

from telechat_runtime.errors import ExitCode
from telechat_runtime.job import schemas
from telechat_runtime.job.events import NodeOutcome
from telechat_runtime.job.failure import failure_data
from telechat_runtime.job.known_errors import KnownError, known_error
from telechat_runtime.job.state import JobState
from telechat_runtime.job.training_log import Speed, Step

_MINUTE = 60
_HOUR = 3600


@dataclass(frozen=True)
class Attempt:
    """A job that failed and was begun again: its id, its first failure, the last step it came to."""

    job_id: str
    reason: str
    step: int


@dataclass(frozen=True)
class Report:
    """The end of a job; `first_failure` names the node that failed before any other, if one did.

    `attempts` are the jobs that this one goes on with, when failures were met by restarts.
    """

    job_id: str
    folder: str
    seconds: float
    interrupted: bool
    nodes: Tuple[NodeOutcome, ...]
    first_failure: Optional[str]
    first_step: Optional[Step]
    last_step: Optional[Step]
    speed: Optional[Speed]
    attempts: Tuple[Attempt, ...] = ()

    @property
    def state(self) -> JobState:
        """The job's state as a whole: that of the first node to fail, and success only when all succeeded."""
        for outcome in self.nodes:
            if outcome.node == self.first_failure:
                return outcome.state
        if all(outcome.state is JobState.SUCCEEDED for outcome in self.nodes):
            return JobState.SUCCEEDED
        return JobState.STOPPED

    @property
    def exit_code(self) -> int:
        """One of telechat-run's exit codes."""
        if self.interrupted:
            return ExitCode.INTERRUPTED
        return ExitCode.OK if self.state is JobState.SUCCEEDED else ExitCode.JOB_FAILED

    @property
    def is_transient(self) -> bool:
        """Return whether the job failed of something that it may well not meet when it is restarted."""
        known = self._known_error()
        is_failure = self.state in (JobState.FAILED, JobState.LOST)
        return is_failure and not self.interrupted and known is not None and known.is_transient

    def as_dict(self) -> Dict[str, Any]:
        """Return the report as data."""
        known = self._known_error()
        return {
            "schema": schemas.REPORT,
            "job_id": self.job_id,
            "state": str(self.state),
            "exit_code": self.exit_code,
            "interrupted": self.interrupted,
            "seconds": round(self.seconds, 1),
            "folder": self.folder,
            "steps": self.last_step.number if self.last_step else 0,
            "first_loss": self.first_step.loss if self.first_step else None,
            "last_loss": self.last_step.loss if self.last_step else None,
            "samples_per_second_per_npu": self.speed.samples_per_second if self.speed else None,
            "first_failure": self.first_failure,
            "known_error": known.as_dict() if known else None,
            "attempts": [vars(attempt) for attempt in self.attempts],
            "nodes": [
                {
                    "name": outcome.node,
                    "node_rank": outcome.node_rank,
                    "state": str(outcome.state),
                    "exit_code": outcome.exit_code,
                    "reason": outcome.reason,
                    "failed_rank": outcome.failed_rank,
                    "failure": failure_data(outcome.failure),
                    "left": list(outcome.left),
                    "last_lines": list(outcome.last_lines),
                }
                for outcome in self.nodes
            ],
        }

    def as_text(self) -> str:
        """Render the report for reading."""
        ending = "INTERRUPTED" if self.interrupted else str(self.state)
        lines = [
            f"job {attempt.job_id}: failed at step {attempt.step}, begun again: {attempt.reason}"
            for attempt in self.attempts
        ]
        lines.append(f"job {self.job_id}: {ending} after {duration(self.seconds)}")
        if self.first_step and self.last_step:
            lines.append(
                f"  loss      {self.first_step.loss:.4g} (step {self.first_step.number}) -> {self.last_step.loss:.4g} "
                f"(step {self.last_step.number} of {self.last_step.total})"
            )
            if self.last_step.diverged:
                lines.append("  warning   the loss is no number any more: the training has diverged")
        if self.speed:
            lines.append(f"  speed     {self.speed.samples_per_second:g} samples/s per NPU")
        lines += [_node_line(outcome) for outcome in self.nodes]
        lines += self._failure_lines()
        lines.append(f"  folder    {self.folder} (on each node)")
        return "\n".join(lines)

    def as_attempt(self) -> Attempt:
        """Return what is told of this job when another one goes on with it."""
        failed = self._failed()
        why = f"{failed.node}: {failed.reason or failed.state}" if failed else str(self.state)
        return Attempt(self.job_id, why, self.last_step.number if self.last_step else 0)

    def _failed(self) -> Optional[NodeOutcome]:
        return next((outcome for outcome in self.nodes if outcome.node == self.first_failure), None)

    def _known_error(self) -> Optional[KnownError]:
        failed = self._failed()
        return known_error(failed.failure, failed.last_lines) if failed else None

    def _failure_lines(self) -> List[str]:
        failed = self._failed()
        if failed is None:
            return []
        lines = [f"  first to fail: {failed.node}: {failed.reason or 'no reason given'}"]
        lines += [f"    | {line}" for line in failed.last_lines]
        known = self._known_error()
        return [*lines, f"  known as  {known.name}: {known.cause}", f"  next      {known.remedy}"] if known else lines


def duration(seconds: float) -> str:
    """Write a duration as people do: 42 s, 3 min 20 s, 1 h 05 min."""
    whole = round(seconds)
    if whole < _MINUTE:
        return f"{whole} s"
    if whole < _HOUR:
        return f"{whole // _MINUTE} min {whole % _MINUTE:02d} s"
    return f"{whole // _HOUR} h {whole % _HOUR // _MINUTE:02d} min"


def _node_line(outcome: NodeOutcome) -> str:
    line = f"  {outcome.node:<9} {outcome.state}"
    if outcome.exit_code:
        line += f" (exit code {outcome.exit_code})"
    if outcome.state in (JobState.STOPPED, JobState.LOST) and outcome.reason:
        line += f": {outcome.reason}"
    if outcome.left:
        line += f", still running: {', '.join(str(pid) for pid in outcome.left)}"
    return line
