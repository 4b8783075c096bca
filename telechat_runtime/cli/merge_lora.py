# SPDX-License-Identifier: Apache-2.0
"""`telechat-run merge-lora`."""

from __future__ import annotations

from typing import Any, Mapping, Optional

import click

from telechat_runtime.checkpoints.merge_lora import merged_file, plan_merge
from telechat_runtime.checkpoints.spec import MergeSpec
from telechat_runtime.cli.job_options import Request, job_options
from telechat_runtime.cli.run_job import Preparation, run_job
from telechat_runtime.job.report import Report
from telechat_runtime.plan.plan import JobPlan


@click.command("merge-lora", short_help="Merge LoRA weights into the model they were trained on.")
@click.argument("job", default="")
@click.option("--checkpoint", default="", metavar="PATH", help="Instead of a job: its checkpoint on rank 0's node.")
@click.option("--strategy", default="", metavar="PATH", help="Strategy files that cut it; without any it is whole.")
@click.option(
    "--lora-scaling",
    "scaling",
    type=click.FloatRange(min=0, min_open=True),
    help="Factor of B @ A. Default: lora_alpha / lora_rank of the job's own yaml.",
)
@click.option(
    "--output",
    default="",
    metavar="PATH",
    help="Folder for merged_lora.ckpt. Default: merge_ckpt in the job's output.",
)
@job_options("merge-lora")
def merge_lora(*, request: Request, job: str, scaling: Optional[float], **paths: Any) -> None:
    """Merge LoRA weights into the model they were trained on: weight + scaling * (B @ A).

    JOB is a finished LoRA finetune: its yaml says the scaling, its strategy files how to join the ranks. The merge is
    done on rank 0's node, in its host's memory, and leaves the job's own files as they are.
    """
    spec = MergeSpec(job=job, scaling=scaling, **paths)

    def plan(at: Preparation) -> JobPlan:
        return plan_merge(spec, request.options, at.cluster, at.clients, interrupt=at.interrupt)

    run_job(request, plan, finish=_result)


def _result(plan: JobPlan, _at: Preparation, _report: Report) -> Mapping[str, Any]:
    return {"result": merged_file(plan)}
