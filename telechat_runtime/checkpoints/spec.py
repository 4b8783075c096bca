# SPDX-License-Identifier: Apache-2.0
"""What the user asks of a conversion or a LoRA merge, checked as far as it can be without looking at a node."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional

from telechat_runtime.errors import UsageError
from telechat_runtime.job.options import check_node_path


@dataclass(frozen=True)
class ConvertSpec:
    """A conversion as the user asked for it; paths are those of the container of rank 0's node.

    The strategy that cut the checkpoint, and the one to cut by, is a path there or what a job left on all nodes;
    without any it is whole. `to_layout` stands for a strategy that a run of its own is yet to make.
    """

    checkpoint: str
    output: str
    from_strategy: str = ""
    from_job: str = ""
    to_strategy: str = ""
    to_job: str = ""
    to_layout: bool = False
    processes: Optional[int] = None

    def __post_init__(self) -> None:
        for option, path in (
            ("--checkpoint", self.checkpoint),
            ("--output", self.output),
            ("--from-strategy", self.from_strategy),
            ("--to-strategy", self.to_strategy),
        ):
            check_node_path(option, path)
        if self.from_strategy and self.from_job:
            raise UsageError("give either --from-strategy or --from-job")
        if sum(map(bool, (self.to_strategy, self.to_job, self.to_layout))) > 1:
            raise UsageError("give one of --to-strategy, --to-job, or --model or --config with the layout")
        if not (self.from_strategy or self.from_job or self.to_strategy or self.to_job or self.to_layout):
            raise UsageError(
                "no strategy is given, so the checkpoint is whole and would stay so",
                next_step="slices: --from-strategy or --from-job; to cut: --to-strategy, --to-job, --model or --config",
            )


@dataclass(frozen=True)
class MergeSpec:
    """A LoRA merge as the user asked for it: of a job, or of a checkpoint with its strategy and scaling."""

    job: str = ""
    checkpoint: str = ""
    strategy: str = ""
    scaling: Optional[float] = None
    output: str = ""

    def __post_init__(self) -> None:
        for option, path in (
            ("--checkpoint", self.checkpoint),
            ("--strategy", self.strategy),
            ("--output", self.output),
        ):
            check_node_path(option, path)
        if bool(self.job) == bool(self.checkpoint):
            raise UsageError("give either a job, or --checkpoint PATH", next_step="list the jobs: telechat-run status")
        if self.job and self.strategy:
            raise UsageError("--strategy goes with --checkpoint; a job has its own")
        if self.checkpoint and self.scaling is None:
            raise UsageError(
                "--checkpoint needs --lora-scaling: no yaml is at hand that says it",
                next_step="it is lora_alpha / lora_rank of the run, as 16/8 = 2",
            )
        if self.checkpoint and not self.output:
            raise UsageError("--checkpoint needs --output, the folder for the merged checkpoint")
