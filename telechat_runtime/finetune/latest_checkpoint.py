# SPDX-License-Identifier: Apache-2.0
"""Chooses the latest complete checkpoint: the newest step that each rank can load on the node where it will run."""

from __future__ import annotations

import posixpath
from dataclasses import dataclass
from typing import Dict, List, Mapping, Optional, Sequence, Tuple

from telechat_runtime.errors import PreflightError, SpecError
from telechat_runtime.remote.answers.checkpoints import SavedStepsAnswer

LINKS = "resume"
"""Folder in a job's work/ with a link rank_N/<name> for each rank of the node."""
_SHOWN_PROBLEMS = 6


@dataclass(frozen=True)
class SavedStep:
    """A rank's file of one step; `number` is the step of the whole training, `problem` why it can't be loaded."""

    path: str
    epoch: int
    step: int
    number: Optional[int]
    problem: str


@dataclass(frozen=True)
class NodeSteps:
    """What one node answered to `node saved-steps`: the steps by rank, as far as their files are in its sight."""

    folder: str
    ranks: Mapping[int, Tuple[SavedStep, ...]]


@dataclass(frozen=True)
class RankPlacement:
    """Which ranks run on which nodes, then and now; `interchangeable` when every rank's file holds the whole training.

    That is so where nothing is cut: data parallel without optimizer shards.
    """

    then: int  # world size of the job that is resumed
    now: Mapping[str, Sequence[int]]
    interchangeable: bool

    @property
    def world_size(self) -> int:
        """How many workers the job has now."""
        return sum(len(ranks) for ranks in self.now.values())


@dataclass(frozen=True)
class Resume:
    """From which job and step a training goes on; `links` are, by node, a link in work/ and the file it points to.

    `name` is what MindFormers gets as resume_training: each rank puts its own number in place of 0.
    """

    job_id: str
    number: int
    epoch: int
    name: str
    links: Mapping[str, Tuple[Tuple[str, str], ...]]
    notes: Tuple[str, ...] = ()

    @property
    def file_format(self) -> str:
        """The value of MindFormers' load_ckpt_format."""
        return posixpath.splitext(self.name)[1][1:]


def node_steps(answer: SavedStepsAnswer) -> NodeSteps:
    """Return the steps of a node's answer, with the paths of their files."""
    folder = answer.folder or ""
    ranks = {
        rank: tuple(
            SavedStep(f"{folder}/rank_{rank}/{step.file}", step.epoch, step.step, step.number, step.problem)
            for step in steps
        )
        for rank, steps in answer.ranks.items()
    }
    return NodeSteps(folder=folder, ranks=ranks)


def check_world_size(job_id: str, placement: RankPlacement) -> None:
    """Raise SpecError when the layout does not allow the job's size to be another than it was."""
    if placement.world_size == placement.then or placement.interchangeable:
        return
    raise SpecError(
        f"job {job_id} had {placement.then} workers and this one has {placement.world_size}: its model or its "
        "optimizer is cut over the workers, and each has saved its own part only",
        next_step="resume on as many; or join the weights with telechat-run convert, and finetune from those",
    )


def choose_step(job_id: str, placement: RankPlacement, nodes: Mapping[str, NodeSteps]) -> Optional[Resume]:
    """Return the latest complete checkpoint, or None when the job has saved no file at all.

    Raises PreflightError when there are files, but no complete checkpoint; the message says why.
    """
    if not any(any(found.ranks.values()) for found in nodes.values()):
        return None
    tables = {
        (node, rank): _whole_files(nodes[node], rank, interchangeable=placement.interchangeable)
        for node, ranks in placement.now.items()
        for rank in ranks
    }
    common = set.intersection(*(set(table) for table in tables.values()))
    problems = _problems(placement, nodes)
    if not common:
        raise PreflightError(
            "\n".join(
                [
                    f"job {job_id} has no step that every rank can load",
                    *(text for _, text in problems[:_SHOWN_PROBLEMS]),
                ]
            ),
            next_step="a checkpoint has to be complete on all nodes; those on storage that all share (output_dir in "
            "telechat_shared_paths) are in sight of every node",
        )
    number = max(common)
    links: Dict[str, List[Tuple[str, str]]] = {node: [] for node in placement.now}
    for (node, rank), table in tables.items():
        links[node].append((f"{LINKS}/rank_{rank}/{_name(table[number], rank)}", table[number].path))
    chosen = next(iter(tables.values()))[number]
    newer = [text for step, text in problems if step is None or step > number]
    return Resume(
        job_id=job_id,
        number=number,
        epoch=chosen.epoch,
        name=_name(chosen, 0),
        links={node: tuple(each) for node, each in links.items()},
        notes=tuple(f"passed over: {text}" for text in newer[:_SHOWN_PROBLEMS]),
    )


def _whole_files(node: NodeSteps, rank: int, *, interchangeable: bool) -> Dict[int, SavedStep]:
    """Return the files that a rank can load on a node, by step; its own before those of others."""
    own = [rank] if rank in node.ranks else []
    others = [other for other in node.ranks if other != rank] if interchangeable else []
    found: Dict[int, SavedStep] = {}
    for each in (*own, *others):
        for step in node.ranks[each]:
            if step.number is not None and not step.problem:
                found.setdefault(step.number, step)
    return found


def _problems(placement: RankPlacement, nodes: Mapping[str, NodeSteps]) -> List[Tuple[Optional[int], str]]:
    """Return what can't be loaded and why, with the step where it is known."""
    found: List[Tuple[Optional[int], str]] = []
    for node, ranks in placement.now.items():
        seen = nodes[node]
        missing = [rank for rank in ranks if rank not in seen.ranks]
        if missing and not (placement.interchangeable and seen.ranks):
            where = seen.folder or "it has no folder of that job"
            found.append((None, f"{node} has no checkpoint of rank {', '.join(map(str, missing))} ({where})"))
        for rank, steps in seen.ranks.items():
            found += [(step.number, f"{node}, rank {rank}: {step.problem}") for step in steps if step.problem]
    return found


def _name(step: SavedStep, rank: int) -> str:
    return f"checkpoint_rank_{rank}-{step.epoch}_{step.step}{posixpath.splitext(step.path)[1]}"
