# SPDX-License-Identifier: Apache-2.0
"""Finds the latest complete checkpoint of a training, as its nodes see their files now."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, List, Mapping, Optional, Sequence

from telechat_runtime.errors import SpecError
from telechat_runtime.fanout import call_on_all
from telechat_runtime.finetune.latest_checkpoint import NodeSteps, RankPlacement, Resume, choose_step, node_steps
from telechat_runtime.finetune.spec import KIND
from telechat_runtime.interrupt import Interrupt
from telechat_runtime.job.options import JobOptions
from telechat_runtime.remote.client import NodeClient
from telechat_runtime.run.record import JobRecord, make_record, record_answers
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
        return [identity.name for identity in self.record.first.nodes]

    @property
    def per_node(self) -> int:
        """Workers on each node."""
        return self.record.first.local_worker_num

    @property
    def world_size(self) -> int:
        """Workers on all nodes."""
        return len(self.nodes) * self.per_node

    @property
    def output(self) -> str:
        """Where its checkpoints are, for a node that never had the job."""
        first = self.record.first
        output = config_facts(self._values).output
        return output if output.startswith("/") else f"{first.job_root}/jobs/{self.job_id}/work/output"

    def own_placement(self) -> RankPlacement:
        """Return where the ranks of the job itself run."""
        return self.rank_placement(self.nodes, self.per_node)

    def rank_placement(self, nodes: Sequence[str], per_node: int) -> RankPlacement:
        """Return where the ranks run of a job that resumes this training on those nodes, given in rank order."""
        training = read_training_config(self._values)
        is_whole_everywhere = not training.cuts_model and not training.training.parallel_optimizer
        now = {name: range(rank * per_node, (rank + 1) * per_node) for rank, name in enumerate(nodes)}
        return RankPlacement(then=self.world_size, now=now, interchangeable=is_whole_everywhere)

    @cached_property
    def _values(self) -> Mapping[str, Any]:
        return Document.load(self.config, self.job_id).values


def recorded_training(job_id: str, clients: Mapping[str, NodeClient], interrupt: Interrupt) -> RecordedTraining:
    """Return what the nodes that can be reached know of a finetune: one of them is enough. Raises SpecError."""
    record = make_record(job_id, record_answers(job_id, clients, interrupt, replay=True))
    kind = record.first.kind
    if kind != KIND:
        raise SpecError(f"job {job_id} is a {kind}; only a finetune can be resumed")
    start = next((node.start for node in record.nodes.values() if node.start), None)
    if start is None or not record.config:
        raise SpecError(f"no node has the plan and the yaml of job {job_id} any more: it can't be resumed")
    return RecordedTraining(record=record, options=start.options, config=record.config)


def latest_checkpoint(
    training: RecordedTraining, ranks: RankPlacement, clients: Mapping[str, NodeClient], interrupt: Interrupt
) -> Optional[Resume]:
    """Return the latest complete checkpoint: every rank can load its file of it on the node where the rank runs.

    None when the job has saved no file at all. Raises PreflightError when no checkpoint is complete, FleetError when a
    node could not be asked.
    """

    def ask(name: str) -> NodeSteps:
        return node_steps(clients[name].saved_steps(training.job_id, ranks=ranks.now[name], output=training.output))

    found = call_on_all(list(ranks.now), ask, doing="looking for checkpoints", interrupt=interrupt)
    return choose_step(training.job_id, ranks, found)
