# SPDX-License-Identifier: Apache-2.0
"""Answers to `node checkpoint-info`, `job-output` and `saved-steps`: what jobs saved on a node."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Mapping, Optional, Tuple

from telechat_runtime.job.state import JobState


@dataclass(frozen=True)
class CheckpointJudgement:
    """Why a conversion or a merge can't be made; None when it can."""

    problem: Optional[str]


@dataclass(frozen=True)
class CheckpointInfo:
    """The checkpoint that a conversion or a merge begins with."""

    source_ranks: int
    parameters: int
    bytes: int


@dataclass(frozen=True)
class ConversionInfo:
    """What a conversion makes, and how many files of it are still to be made."""

    result: str
    target_ranks: int
    to_make: int


@dataclass(frozen=True)
class JobOutputAnswer:
    """What a job left on a node; without a `state` the job was never there.

    `strategy` has the files (name: base64), `checkpoints` the ranks that each folder below `output` has.
    """

    state: Optional[JobState]
    config: Optional[str]
    output: Optional[str]
    strategy: Mapping[str, str]
    checkpoints: Mapping[str, Tuple[int, ...]]


@dataclass(frozen=True)
class SavedFile:
    """A rank's file of one step; `number` is the step of the whole training, `problem` why it can't be loaded."""

    file: str
    epoch: int
    step: int
    number: Optional[int]
    problem: str


@dataclass(frozen=True)
class SavedStepsAnswer:
    """The checkpoints of a job by rank, as far as they are in a node's sight; `folder` is None without any."""

    folder: Optional[str]
    ranks: Mapping[int, Tuple[SavedFile, ...]]
