# SPDX-License-Identifier: Apache-2.0
"""Finds the newest step of a training that is whole on every rank, as its nodes see their files now."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Dict, List, Mapping, Optional, Sequence

from telechat_runtime.errors import SpecError
from telechat_runtime.fanout import FleetError, call_on_all
from telechat_runtime.finetune.latest_checkpoint import NodeSteps, Resume, Seats, choose_step, parse_steps
from telechat_runtime.finetune.spec import KIND
from telechat_runtime.interrupt import Interrupt
from telechat_runtime.job.options import JobOptions, job_options_of
from telechat_runtime.remote.client import NodeClient
from telechat_runtime.run.record import JobRecord, make_record
from telechat_runtime.training.config import config_facts, read_training_config
from telechat_runtime.training.document import Document

HOW_OFTEN = "save_checkpoint_steps of the CheckpointMonitor says how often one is saved"
"""The next step for who waits for a checkpoint in vain."""


@dataclass(frozen=True)
class RecordedTraining:
    """A finetune as its nodes recorded it, running or ended: all that is needed to find and load what it saves."""

    record: JobRecord
    options: JobOptions
    config: str

    @property
    def job_id(self) -> str:
        """The job's id."""
        return self.record.job_id

    @property
    def nodes(self) -> List[str]:
        """The nodes that it runs on, in the order of their ranks."""
        return [identity["name"] for identity in self.record.first["nodes"]]

    @property
    def per_node(self) -> int:
        """Workers on each node."""
        return int(self.record.first["local_worker_num"])

    @property
    def world_size(self) -> int:
        """Workers on all nodes."""
        return len(self.nodes) * self.per_node

    @property
    def output(self) -> str:
        """Where its checkpoints are, for a node that never had the job."""
        first = self.record.first
        output = config_facts(self._values).output
        return output if output.startswith("/") else f"{first['job_root']}/jobs/{self.job_id}/work/output"

    def own_seats(self) -> Seats:
        """Return the seats of the job itself: each rank on the node where it runs."""
        return self.seats({name: self._ranks(index) for index, name in enumerate(self.nodes)})

    def seats(self, now: Mapping[str, Sequence[int]]) -> Seats:
        """Return the seats of a job that goes on with this training, with those ranks on those nodes."""
        training = read_training_config(self._values)
        is_whole_everywhere = not training.cuts_model and not training.training.parallel_optimizer
        return Seats(then=self.world_size, now=now, interchangeable=is_whole_everywhere)

    @cached_property
    def _values(self) -> Mapping[str, Any]:
        return Document.load(self.config, self.job_id).values

    def _ranks(self, index: int) -> Sequence[int]:
        return range(index * self.per_node, (index + 1) * self.per_node)


def recorded_training(job_id: str, clients: Mapping[str, NodeClient], interrupt: Interrupt) -> RecordedTraining:
    """Return what the nodes that can be reached know of a finetune: one of them is enough. Raises SpecError."""

    def ask(name: str) -> Dict[str, Any]:
        return clients[name].record(job_id, clients[name].node.job_root, replay=True)

    try:
        answers = call_on_all(list(clients), ask, doing="reading the job's record", interrupt=interrupt)
    except FleetError as error:
        answers = error.results
        if not any(answer["record"] for answer in answers.values()):
            raise
    record = make_record(job_id, answers)
    kind = record.first["kind"]
    if kind != KIND:
        raise SpecError(f"job {job_id} is a {kind}; only a finetune can be resumed")
    start = next((node["start"] for node in record.nodes.values() if node.get("start")), None)
    if start is None or not record.config:
        raise SpecError(f"no node has the plan and the yaml of job {job_id} any more: it can't be resumed")
    return RecordedTraining(record=record, options=job_options_of(start["options"]), config=record.config)


def newest_whole_step(
    training: RecordedTraining, seats: Seats, clients: Mapping[str, NodeClient], interrupt: Interrupt
) -> Optional[Resume]:
    """Return the newest step that every rank can load where it sits, or None when the job has saved no file at all.

    Raises PreflightError when no step is whole everywhere, FleetError when a node could not be asked.
    """

    def ask(name: str) -> NodeSteps:
        answer = clients[name].saved_steps(training.job_id, ranks=seats.now[name], output=training.output)
        return parse_steps(name, answer)

    found = call_on_all(list(seats.now), ask, doing="looking for checkpoints", interrupt=interrupt)
    return choose_step(training.job_id, seats, found)
