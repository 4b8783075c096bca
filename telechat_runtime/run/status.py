# SPDX-License-Identifier: Apache-2.0
"""What the nodes say of their jobs, put together per job; and which job a command means."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

from telechat_runtime.errors import ProtocolError, SpecError, TelechatError
from telechat_runtime.fanout import FleetError, gather
from telechat_runtime.interrupt import Interrupt
from telechat_runtime.job import schemas
from telechat_runtime.job.state import JobState
from telechat_runtime.remote.answers.jobs import JobPart, StatusAnswer, StopAnswer
from telechat_runtime.remote.answers.probe import Lease
from telechat_runtime.remote.client import NodeClient


@dataclass(frozen=True)
class FleetStatus:
    """Every node's answer to `node status` by name, and why the others gave none."""

    answers: Mapping[str, StatusAnswer]
    errors: Mapping[str, TelechatError]

    @property
    def faults(self) -> Dict[str, ProtocolError]:
        """The nodes whose runtime and this telechat-run do not understand each other, and why."""
        return {name: error for name, error in self.errors.items() if isinstance(error, ProtocolError)}

    def check_faults(self) -> None:
        """Raise FleetError when nodes gave answers that can't be used: what they run is unknown."""
        if self.faults:
            raise FleetError(self.answers, self.faults)

    def holders(self) -> Dict[str, Lease]:
        """Return the lease of each node that has one."""
        return {name: answer.lease for name, answer in self.answers.items() if answer.lease}

    def jobs(self) -> List[FleetJob]:
        """Return the jobs of all nodes, the newest first."""
        parts: Dict[str, Dict[str, JobPart]] = {}
        for name, answer in self.answers.items():
            for job in answer.jobs:
                parts.setdefault(job.job_id, {})[name] = job
        jobs = [FleetJob(job_id=job_id, nodes=nodes) for job_id, nodes in parts.items()]
        return sorted(jobs, key=lambda job: (job.started, job.job_id), reverse=True)

    def job(self, job_id: str) -> FleetJob:
        """Return one job. Raises SpecError for an id that no node knows."""
        for job in self.jobs():
            if job.job_id == job_id:
                return job
        if self.errors:
            raise next(iter(self.errors.values()))
        raise SpecError(f"no node has a job {job_id!r}", next_step="`telechat-run status` lists the jobs")

    def as_dict(self) -> Dict[str, Any]:
        """Return the status as data."""
        leases = self.holders()
        return {
            "schema": schemas.STATUS,
            "nodes": {
                **{
                    name: {"lease": vars(leases[name]) if name in leases else None, "error": None}
                    for name in self.answers
                },
                **{name: {"lease": None, "error": str(error)} for name, error in self.errors.items()},
            },
            "jobs": [job.as_dict() for job in self.jobs()],
        }


@dataclass(frozen=True)
class FleetJob:
    """One job and its parts on the nodes, by node name."""

    job_id: str
    nodes: Mapping[str, JobPart]

    @property
    def states(self) -> Dict[str, JobState]:
        """The job's state on each node."""
        return {name: part.state for name, part in self.nodes.items()}

    @property
    def is_active(self) -> bool:
        """Tell whether the job has still to end on some node."""
        return any(not state.is_terminal for state in self.states.values())

    @property
    def state(self) -> JobState:
        """The job's state as a whole: what has failed, has failed as a whole."""
        states = set(self.states.values())
        order = (JobState.FAILED, JobState.LOST, JobState.STOPPED, JobState.STARTING, JobState.RUNNING)
        return next((state for state in order if state in states), JobState.SUCCEEDED)

    @property
    def kind(self) -> str:
        """What it does: finetune, predict …."""
        return next(iter(self.nodes.values())).kind

    @property
    def owner(self) -> str:
        """Who started it."""
        return next(iter(self.nodes.values())).owner

    @property
    def started(self) -> str:
        """When it started, as the first node wrote it."""
        return next(iter(self.nodes.values())).started

    def as_dict(self) -> Dict[str, Any]:
        """Return the job as data."""
        return {
            "job_id": self.job_id,
            "kind": self.kind,
            "owner": self.owner,
            "state": str(self.state),
            "started": self.started,
            "nodes": {name: asdict(part) for name, part in self.nodes.items()},
        }


def fleet_status(clients: Mapping[str, NodeClient], interrupt: Interrupt) -> FleetStatus:
    """Ask all nodes; a node that can't answer is part of the status, not its end."""
    answers, errors = gather(
        list(clients), lambda name: clients[name].status(), doing="asking the nodes", interrupt=interrupt
    )
    return FleetStatus(answers=answers, errors=errors)


def choose_job(status: FleetStatus, wanted: Optional[str], owner: str) -> FleetJob:
    """Return the job of that id; without one, the only active job of `owner`. Raises SpecError."""
    if wanted is not None:
        return status.job(wanted)
    active = [job for job in status.jobs() if job.is_active]
    mine = [job for job in active if job.owner == owner]
    if len(mine) == 1:
        return mine[0]
    status.check_faults()
    listing = ", ".join(f"{job.job_id} ({job.owner})" for job in active) or "none at all"
    raise SpecError(f"{len(mine)} jobs of {owner} are active; active are: {listing}", next_step="name the job's id")


@dataclass(frozen=True)
class StopResult:
    """What a stop did: the state of each node afterwards, what outlived it, and which nodes could not be asked."""

    job_id: str
    answers: Mapping[str, StopAnswer]
    errors: Mapping[str, TelechatError]

    @property
    def left(self) -> Tuple[Tuple[str, Sequence[int]], ...]:
        """The process ids that still run, by node."""
        return tuple((name, answer.left) for name, answer in self.answers.items() if answer.left)


def stop_job(
    job_id: str,
    names: Sequence[str],
    clients: Mapping[str, NodeClient],
    *,
    grace_seconds: float,
    by: str,
    interrupt: Interrupt,
) -> StopResult:
    """Stop the job on those nodes; `by` is who asks for it."""

    def stop(name: str) -> StopAnswer:
        client = clients[name]
        return client.stop(job_id, client.node.job_root, grace_seconds, by=by)

    answers, errors = gather(names, stop, doing="stopping the job", interrupt=interrupt, finish=True)
    return StopResult(job_id=job_id, answers=answers, errors=errors)
