# SPDX-License-Identifier: Apache-2.0
"""What the workers of a job run: the one thing in which kinds of job differ. `plan` makes each node's argv of it."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import List, Optional, Tuple

from telechat_runtime.cluster.topology import Cluster, Node
from telechat_runtime.job.paths import JobPaths

KINDS = ("finetune", "predict", "strategy", "transform", "merge", "check")
RESEARCH = "research/telechat2"
# Stand for a folder of the node in the words of an Entry.
WORK = "{work}"
TREE = "{tree}"


class Processes(enum.Enum):
    """Where a program runs, and how often."""

    ALL = "one worker for every NPU of all nodes, under msrun when there are several"
    EACH_NODE = "one process on each node, which know nothing of each other"
    RANK_0 = "one process, on the node of rank 0; the other nodes stay free"

    def cluster(self, cluster: Cluster) -> Cluster:
        """Return the nodes that take part in a job."""
        return cluster.limited_to([cluster.master.name]) if self is Processes.RANK_0 else cluster

    def workers_per_node(self, cluster: Cluster, npus_per_node: Optional[int]) -> int:
        """Return the processes of each node. Raises SpecError as Cluster.workers_per_node does."""
        return cluster.workers_per_node(npus_per_node) if self is Processes.ALL else 1


@dataclass(frozen=True)
class Entry:
    """A script and its options, as they follow the interpreter; WORK and TREE in a word stand for the node's."""

    words: Tuple[str, ...]
    files: Tuple[Tuple[str, str], ...] = ()  # name in work/ and text, beside those of the program


@dataclass(frozen=True)
class Program:
    """What a job runs on its nodes, and what it needs there.

    `tree` runs instead of `own` on a node with a TeleChat2 tree. `files` (name in work/, text) lie on every node; one
    of them may be config.yaml, which differs by `config_diff` from the yaml it was made from. `env` is of the program
    itself: telechat_env and --env come after it. `results` are files in work/ of rank 0's node that the control side
    fetches when the job has succeeded. `inputs` (name, path on the nodes) is what the record takes fingerprints of.
    """

    kind: str
    own: Entry
    tree: Optional[Entry] = None
    processes: Processes = Processes.ALL
    files: Tuple[Tuple[str, str], ...] = ()
    config_diff: str = ""
    env: Tuple[Tuple[str, str], ...] = ()
    model_name: str = ""
    pipeline_stages: int = 1
    results: Tuple[str, ...] = ()
    notes: Tuple[str, ...] = ()
    inputs: Tuple[Tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"{self.kind!r} is no kind of job; known are {', '.join(KINDS)}")

    def words(self, node: Node, paths: JobPaths) -> List[str]:
        """Return what follows the interpreter on that node."""
        return [word.replace(WORK, paths.work).replace(TREE, node.tree) for word in self._entry(node).words]

    def node_files(self, node: Node) -> Tuple[Tuple[str, str], ...]:
        """Return the files of the job's work folder on that node."""
        return (*self.files, *self._entry(node).files)

    def _entry(self, node: Node) -> Entry:
        return self.tree if self.tree is not None and node.tree else self.own
