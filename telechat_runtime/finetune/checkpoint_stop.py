# SPDX-License-Identifier: Apache-2.0
"""Stops a finetune when it has just saved a checkpoint: little is lost, and `--resume` goes on from there.

Nothing can ask MindFormers to save now, so this looks, as `--resume` does, until there is a newer complete checkpoint.
A look at files that are being written finds them torn: then the step is not there yet.
"""

from __future__ import annotations

from dataclasses import dataclass
from time import monotonic
from typing import Dict, Mapping, Optional

from telechat_runtime.errors import InterruptedByUserError, PreflightError, SpecError, TelechatError
from telechat_runtime.fanout import FleetError
from telechat_runtime.finetune.latest_checkpoint import Resume
from telechat_runtime.finetune.saved_training import HOW_OFTEN, RecordedTraining, latest_checkpoint, recorded_training
from telechat_runtime.finetune.spec import KIND
from telechat_runtime.interrupt import Interrupt
from telechat_runtime.job.events import Notice, Observer
from telechat_runtime.job.state import JobState
from telechat_runtime.remote.client import NodeClient
from telechat_runtime.run.status import FleetJob, StopResult, fleet_status, stop_job

DEFAULT_TIMEOUT_SECONDS = 1800
_LOOK_AGAIN_SECONDS = 3.0
_WAITING = "waiting for a checkpoint"


@dataclass(frozen=True)
class Stopping:
    """How a job is stopped: how long a checkpoint may take (0: none is waited for), with what grace, for whom."""

    checkpoint_seconds: float
    grace_seconds: float
    by: str
    tell: Observer


@dataclass(frozen=True)
class CheckpointStop:
    """What came of it: the stop itself, and the latest complete checkpoint afterwards, if there is one.

    `had_ended` when the job was seen to have ended before it was stopped.
    """

    result: StopResult
    newest: Optional[Resume]
    had_ended: bool

    @property
    def is_stopped(self) -> bool:
        """Tell whether this stop ended the job."""
        answers = self.result.answers.values()
        # A job that fails in the last moment is stopped too, by its own nodes: those name a cause.
        return not self.had_ended and any(each.state is JobState.STOPPED and not each.cause for each in answers)

    @property
    def is_lost(self) -> bool:
        """Tell whether the job was stopped, and no complete checkpoint of it is left."""
        return self.is_stopped and self.newest is None

    @property
    def checkpoint(self) -> Optional[Dict[str, int]]:
        """The latest complete checkpoint as data."""
        return {"step": self.newest.number, "epoch": self.newest.epoch} if self.newest else None

    def as_text(self) -> str:
        """Say in one line after which checkpoint the job stopped, or that it had ended before."""
        if self.is_stopped and self.newest:
            return f"stopped after the checkpoint of {_step(self.newest)}"
        if self.is_stopped:
            return "stopped, and no checkpoint is complete"
        rest = f"its latest complete checkpoint is that of {_step(self.newest)}" if self.newest else "it has none"
        return f"job {self.result.job_id} had ended before it was stopped; {rest}"


@dataclass(frozen=True)
class _Look:
    """The latest complete checkpoint at one moment, and why it is not a newer one.

    `is_blind` when a node did not say what it has, `has_ended` when the job had by then.
    """

    newest: Optional[Resume]
    problem: str
    has_ended: bool = False
    is_blind: bool = False


@dataclass(frozen=True)
class _Eyes:
    """Looks at a job and what it has saved."""

    training: RecordedTraining
    clients: Mapping[str, NodeClient]
    interrupt: Interrupt

    def look(self) -> _Look:
        """Look once. Raises FleetError when a node did not say what it has."""
        # In this order: what a job that has ended has saved by now is all that it will.
        has_ended = self._has_ended()
        try:
            newest = latest_checkpoint(self.training, self.training.own_placement(), self.clients, self.interrupt)
        except PreflightError as error:
            return _Look(None, error.message, has_ended)
        return _Look(newest, "\n".join(newest.notes) if newest else "", has_ended)

    def look_again(self) -> _Look:
        """Look once; a node that does not answer now may do so the next time."""
        try:
            return self.look()
        except FleetError as error:
            return _Look(None, error.message, is_blind=True)

    def _has_ended(self) -> bool:
        status = fleet_status({name: self.clients[name] for name in self.training.nodes}, self.interrupt)
        jobs = {job.job_id: job for job in status.jobs()}
        states = jobs[self.training.job_id].states if self.training.job_id in jobs else {}
        return all(name in states and states[name].is_terminal for name in self.training.nodes)


def stop_at_checkpoint(
    job: FleetJob, clients: Mapping[str, NodeClient], stopping: Stopping, interrupt: Interrupt
) -> CheckpointStop:
    """Wait until the job has saved a checkpoint newer than its latest complete one, and stop it; or let it be.

    Raises SpecError for a job that saves none, PreflightError when none came in time, and InterruptedByUserError on
    Ctrl-C while it waits: then nothing is stopped.
    """
    if job.kind != KIND:
        raise SpecError(
            f"job {job.job_id} is a {job.kind}: --at-checkpoint is for a finetune, no other kind saves checkpoints",
            next_step=f"`telechat-run stop {job.job_id}` stops it now",
        )
    try:
        eyes = _Eyes(_training(job.job_id, clients, interrupt), clients, interrupt)
        look = _wait(eyes, stopping)
        interrupt.check(_WAITING)
    except InterruptedByUserError as error:
        raise InterruptedByUserError(
            f"{error.message}: nothing was stopped, job {job.job_id} is left as it was",
            next_step=f"`telechat-run stop {job.job_id}` stops it now",
        ) from error
    # Also where a node was silent when it was asked for its jobs, and is heard again.
    nodes, grace = eyes.training.nodes, stopping.grace_seconds
    result = stop_job(job.job_id, nodes, clients, grace_seconds=grace, by=stopping.by, interrupt=interrupt)
    return CheckpointStop(result, _newest_now(eyes, look), had_ended=look.has_ended)


def _training(job_id: str, clients: Mapping[str, NodeClient], interrupt: Interrupt) -> RecordedTraining:
    training = recorded_training(job_id, clients, interrupt)
    gone = [name for name in training.nodes if name not in clients]
    if gone:
        raise SpecError(
            f"job {job_id} runs on {', '.join(gone)} too, and a checkpoint has to be complete on all of its nodes",
            next_step="use the inventory, and no --limit, that the job was started with",
        )
    return training


def _wait(eyes: _Eyes, stopping: Stopping) -> _Look:
    """Return the first look that finds a newer complete checkpoint, or that the job has ended."""
    seconds, job_id = stopping.checkpoint_seconds, eyes.training.job_id
    deadline = monotonic() + seconds
    look = eyes.look()
    before, told, pause = look.newest, "", _LOOK_AGAIN_SECONDS
    if seconds == 0 and (look.newest or look.has_ended):
        return look
    if seconds > 0 and not look.has_ended:
        stopping.tell(Notice(f"waiting up to {seconds:g} s for a checkpoint of job {job_id}{_newer_than(before)}"))
    while not look.has_ended and not _is_newer(look.newest, before):
        left = deadline - monotonic()
        if left <= 0:
            raise _in_vain(job_id, seconds, before, look.problem)
        if look.is_blind and look.problem != told:
            told = look.problem
            stopping.tell(Notice(f"not yet: {told}"))
        # With a look in the end: a checkpoint of the last moment counts.
        eyes.interrupt.wait(min(pause, left))
        eyes.interrupt.check(_WAITING)
        began = monotonic()
        look = eyes.look_again()
        # Headers of many files are read, on storage that others use: not more than half of the time.
        pause = max(_LOOK_AGAIN_SECONDS, monotonic() - began)
        before = _older(before, look.newest)
    return look


def _is_newer(found: Optional[Resume], before: Optional[Resume]) -> bool:
    return found is not None and (before is None or found.number > before.number)


def _older(before: Optional[Resume], found: Optional[Resume]) -> Optional[Resume]:
    """Return what a new step has to be newer than.

    An earlier training's steps in the same output_dir count no more once this job has finished one of its own.
    """
    return found if before and found and found.number < before.number else before


def _newest_now(eyes: _Eyes, look: _Look) -> Optional[Resume]:
    """Return the latest complete checkpoint after the stop.

    A save may have ended before it, and one that it tore may be gone. A node that can't say now has said before.
    """
    try:
        return eyes.look().newest
    except TelechatError:
        return look.newest


def _in_vain(job_id: str, seconds: float, before: Optional[Resume], problem: str) -> PreflightError:
    what = f"no complete checkpoint{_newer_than(before)}"
    when = f"within {seconds:g} s (--checkpoint-timeout)" if seconds else "yet (--checkpoint-timeout 0 waits for none)"
    lines = [f"job {job_id} has saved {what} {when}: it is not stopped and runs on"]
    instead = f", --checkpoint-timeout 0 after {_step(before)}" if before else ""
    return PreflightError(
        "\n".join([*lines, *([problem] if problem else [])]),
        next_step=f"wait longer: {HOW_OFTEN}; `telechat-run stop {job_id}` stops it now{instead}",
    )


def _newer_than(before: Optional[Resume]) -> str:
    return f" newer than {_step(before)}" if before else ""


def _step(found: Resume) -> str:
    return f"step {found.number} (epoch {found.epoch})"
