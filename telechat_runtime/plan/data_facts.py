# SPDX-License-Identifier: Apache-2.0
"""What a node is asked of a job's data, and what it answers: dataset, checkpoint, folders that nodes are to share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Dict, Optional, Tuple

from telechat_runtime.remote.answers.probe import CheckpointFacts, DatasetFacts, FolderFacts, ProbeAnswer


@dataclass(frozen=True)
class DataQuestion:
    """Paths of the nodes; empty ones are not asked for."""

    dataset: str = ""
    checkpoint: str = ""
    folders: Tuple[str, ...] = ()

    def as_request(self) -> Dict[str, Any]:
        """Return the fields of the document that `node probe` reads."""
        return {
            "dataset": self.dataset or None,
            "checkpoint": self.checkpoint or None,
            "folders": list(self.folders),
        }


@dataclass(frozen=True)
class DataLook:
    """A node's answer; None where it was not asked, or has nothing there."""

    dataset: Optional[DatasetFacts] = None
    checkpoint: Optional[CheckpointFacts] = None
    folders: Tuple[Tuple[str, Optional[FolderFacts]], ...] = ()

    def folder(self, path: str) -> Optional[FolderFacts]:
        """Return what was seen of that folder."""
        return dict(self.folders).get(path)


NO_DATA = DataLook()


def data_facts(answer: ProbeAnswer) -> DataLook:
    """Return the answer to a DataQuestion."""
    return DataLook(dataset=answer.dataset, checkpoint=answer.checkpoint, folders=tuple(answer.folders.items()))
