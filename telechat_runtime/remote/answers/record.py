# SPDX-License-Identifier: Apache-2.0
"""The answer to `node record`: what a job ran with, and how it ended."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Mapping, Optional, Tuple

from telechat_runtime.job.options import JobOptions, job_options_of
from telechat_runtime.job.state import JobState
from telechat_runtime.typed_json import WHOLE_DOCUMENT, read_by


@dataclass(frozen=True)
class NodeIdentity:
    """What of a node has to be the same for a job to be run again there."""

    name: str
    addr: str
    npu_count: int
    container: str
    tree: str


@dataclass(frozen=True)
class Fingerprint:
    """What a dataset or checkpoint was (node/facts/fingerprint.py), or the `error` that kept it from being seen."""

    path: str
    error: Optional[str] = None
    files: int = 0
    complete: bool = True
    bytes: int = 0
    listing: str = ""
    by: str = ""
    sample: str = ""

    def is_same_as(self, then: Fingerprint) -> bool:
        """Return whether the content is the same as far as is known; times of change do not count."""
        return (self.error, self.listing, self.sample) == (then.error, then.listing, then.sample)


@dataclass(frozen=True)
class RecordedJob:
    """What a node wrote down of a job before it ran; `document` is all of it, secrets masked."""

    node: str
    nodes: Tuple[NodeIdentity, ...]
    job_id: str
    kind: str
    owner: str
    written: str
    node_rank: int
    first_rank: int
    local_worker_num: int
    job_root: str
    argv: Tuple[str, ...]
    env: Mapping[str, Optional[str]]
    output: str
    master_addr: str
    master_port: Optional[int]
    metric_rank: int
    device_target: str
    versions: Mapping[str, Optional[str]]
    inputs: Mapping[str, Fingerprint]
    options: JobOptions = field(metadata=read_by(job_options_of))
    path: Tuple[str, ...] = ()
    config_diff: str = ""
    results: Tuple[str, ...] = ()
    resumes: str = ""
    restarts: int = 0
    control_version: str = "?"
    document: Mapping[str, Any] = field(default_factory=dict, metadata=WHOLE_DOCUMENT, repr=False, compare=False)


@dataclass(frozen=True)
class Outcome:
    """How a job stands or has ended on a node; `document` is all of it."""

    state: JobState
    ended: Optional[str]
    exit_code: Optional[int]
    reason: str
    document: Mapping[str, Any] = field(default_factory=dict, metadata=WHOLE_DOCUMENT, repr=False, compare=False)


@dataclass(frozen=True)
class StartedWith:
    """What `node start` was given, secrets and all."""

    job_root: str
    node_rank: int
    first_rank: int
    argv: Tuple[str, ...]
    env: Mapping[str, Optional[str]]
    path: Tuple[str, ...]
    files: Mapping[str, str]
    output: str
    options: JobOptions = field(metadata=read_by(job_options_of))
    links: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class RecordAnswer:
    """The record of a job on a node; None for what is not there. The last two come with `replay` only."""

    record: Optional[RecordedJob]
    outcome: Optional[Outcome]
    config: Optional[str]
    start: Optional[StartedWith] = None
    inputs_now: Optional[Mapping[str, Fingerprint]] = None
