# SPDX-License-Identifier: Apache-2.0
"""`telechat-run convert`."""

from __future__ import annotations

import dataclasses
from typing import Any, List, Mapping, Optional, Tuple

import click

from telechat_runtime.checkpoints.convert import plan_conversion, plan_strategy, verified
from telechat_runtime.checkpoints.spec import ConvertSpec
from telechat_runtime.cli.finetune import layout_options
from telechat_runtime.cli.job_options import POSITIVE, Request, config_source, job_options
from telechat_runtime.cli.run_job import Preparation, run_job
from telechat_runtime.errors import UsageError
from telechat_runtime.finetune.spec import FinetuneSpec
from telechat_runtime.job.options import MODELS, Override, parse_override
from telechat_runtime.job.report import Report
from telechat_runtime.plan.plan import JobPlan


@click.command(short_help="Convert a checkpoint from one parallel layout to another.")
@click.option(
    "--checkpoint",
    required=True,
    metavar="PATH",
    help="On rank 0's node: a .ckpt file with the whole model, or a folder with rank_N/*.ckpt.",
)
@click.option(
    "--output",
    required=True,
    metavar="PATH",
    help="Folder there for the result, <output>/<name of the checkpoint>/rank_N/*.ckpt.",
)
@click.option("--from-strategy", default="", metavar="PATH", help="Strategy files that cut the checkpoint.")
@click.option(
    "--from-job", default="", metavar="JOB", help="Job that wrote it; its strategy files come from all nodes."
)
@click.option("--to-strategy", default="", metavar="PATH", help="Strategy files to cut by. Without any it gets whole.")
@click.option("--to-job", default="", metavar="JOB", help="Job whose layout is wanted.")
@click.option(
    "--model",
    type=click.Choice(MODELS),
    help="Cut for a finetune of this model by the tree's yaml: first a run on all nodes saves the strategy.",
)
@click.option("--config", "config_file", metavar="FILE", help="Or by this MindFormers yaml on this machine.")
@click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="KEY=VALUE",
    callback=lambda _context, _option, texts: tuple(parse_override(text) for text in texts),
    help="Override a key of that yaml, as for finetune. May be repeated.",
)
@click.option(
    "--dataset", default="", metavar="PATH", help="Dataset of that run, as for finetune; it reads the first row."
)
@layout_options
@click.option("--processes", type=POSITIVE, help="Files made at once. Default: by cores and free memory of the node.")
@job_options("convert")
def convert(
    *,
    request: Request,
    config_file: Optional[str],
    model: Optional[str],
    dataset: str,
    overrides: Tuple[Override, ...],
    processes: Optional[int],
    checkpoint: str,
    output: str,
    from_strategy: str,
    from_job: str,
    to_strategy: str,
    to_job: str,
    **layout: Any,
) -> None:
    """Convert a checkpoint: whole to sliced, sliced to whole, or from one layout to another.

    The work is done on rank 0's node, in its host's memory. Before anything starts the checkpoint and the strategies
    are judged by their headers. Run again after a failure it makes only what is missing; the result is verified.
    """
    is_layout = bool(config_file or model)
    spec = ConvertSpec(
        checkpoint=checkpoint,
        output=output,
        from_strategy=from_strategy,
        from_job=from_job,
        to_strategy=to_strategy,
        to_job=to_job,
        to_layout=is_layout,
        processes=processes,
    )
    if not is_layout:
        _check_no_layout(dataset, overrides, layout)
        run_job(request, lambda at: _plan(spec, request, at), finish=_verify)
        return
    source = config_source(config_file, model)
    training = FinetuneSpec(model=model, dataset=dataset, overrides=overrides, **layout)
    strategy_job: List[str] = []

    def first_stage(at: Preparation) -> JobPlan:
        plan = plan_strategy(
            spec, training, request.options, at.cluster, at.clients, source=source, interrupt=at.interrupt
        )
        strategy_job.append(plan.job_id)
        return plan

    def second_stage(at: Preparation) -> JobPlan:
        click.echo(
            f"the strategy is that of {strategy_job[0]}; to go on from here: --to-job {strategy_job[0]}", err=True
        )
        return _plan(dataclasses.replace(spec, to_layout=False, to_job=strategy_job[0]), request, at)

    run_job(request, first_stage, second_stage, finish=_verify)


def _plan(spec: ConvertSpec, request: Request, at: Preparation) -> JobPlan:
    return plan_conversion(spec, request.options, at.cluster, at.clients, interrupt=at.interrupt)


def _verify(at_end: JobPlan, at: Preparation, _report: Report) -> Mapping[str, Any]:
    return verified(at_end, at.cluster, at.clients)


def _check_no_layout(dataset: str, overrides: Tuple[Override, ...], layout: Mapping[str, Optional[int]]) -> None:
    given = [f"--{name.replace('_', '-')}" for name, number in layout.items() if number is not None]
    given += ["--dataset"] if dataset else []
    given += ["--set"] if overrides else []
    if given:
        raise UsageError(f"{', '.join(given)} describe a run, which needs --model or --config")
