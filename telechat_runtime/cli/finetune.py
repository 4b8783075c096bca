# SPDX-License-Identifier: Apache-2.0
"""`telechat-run finetune`."""

from __future__ import annotations

from typing import Any, Optional

import click

from telechat_runtime.cli.job_options import (
    POSITIVE,
    Preparation,
    Request,
    config_options,
    config_source,
    job_options,
    run_job,
)
from telechat_runtime.finetune import prepare
from telechat_runtime.finetune_spec import FinetuneSpec
from telechat_runtime.plan import JobPlan
from telechat_runtime.spec import MODELS


@click.command(short_help="Finetune a model on all nodes of the inventory.")
@config_options
@click.option(
    "--model",
    type=click.Choice(MODELS),
    envvar="TELECHAT_MODEL",
    show_envvar=True,
    help="Take the finetune yaml of the TeleChat2 tree on the nodes (telechat_tree) instead of --config.",
)
@click.option(
    "--dataset",
    default="",
    metavar="PATH",
    envvar="TELECHAT_DATASET",
    show_envvar=True,
    help="MindRecord file or folder on the nodes, as their containers see it.",
)
@click.option(
    "--checkpoint",
    default="",
    metavar="PATH",
    envvar="TELECHAT_CHECKPOINT",
    show_envvar=True,
    help="Weights to start from, on the nodes.",
)
@click.option("--epochs", type=POSITIVE, help="Override runner_config.epochs.")
@click.option("--batch-size", type=POSITIVE, help="Override runner_config.batch_size.")
@click.option(
    "--learning-rate", type=click.FloatRange(min=0, min_open=True), help="Override lr_schedule.learning_rate."
)
@job_options("finetune")
def finetune(*, request: Request, config_file: Optional[str], model: Optional[str], **wishes: Any) -> None:
    """Finetune a model on all nodes of the inventory.

    Looks at every node, makes a plan, starts msrun on all nodes at once, shows the logs of the first and the last rank,
    and ends with the truth in its exit code. When one node fails, all are stopped.
    """
    source = config_source(config_file, model)
    spec = FinetuneSpec(model=model, **wishes)

    def plan(at: Preparation) -> JobPlan:
        return prepare(spec, request.options, at.cluster, at.clients, source=source, interrupt=at.interrupt)

    run_job(request, plan)
