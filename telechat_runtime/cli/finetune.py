# SPDX-License-Identifier: Apache-2.0
"""`telechat-run finetune`."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Callable, Optional, TypeVar

import click

from telechat_runtime.cli.finetune_resume import go_on, resume_job
from telechat_runtime.cli.job_options import (
    POSITIVE,
    Request,
    config_options,
    config_source,
    job_options,
)
from telechat_runtime.cli.run_job import Preparation, run_job
from telechat_runtime.errors import SpecError
from telechat_runtime.finetune.plan import plan_finetune
from telechat_runtime.finetune.spec import METHODS, PRETRAIN_SEQ_LENGTH, TRANSFORMS, FinetuneSpec
from telechat_runtime.job.options import MODELS
from telechat_runtime.plan.plan import JobPlan

F = TypeVar("F", bound=Callable[..., Any])


def layout_options(command: F) -> F:
    """Add the numbers of the parallel layout."""
    for option in reversed(_LAYOUT_OPTIONS):
        command = option(command)
    return command


def _layout_option(name: str, help_text: str) -> Callable[[F], F]:
    return click.option(name, type=POSITIVE, help=help_text)


_LAYOUT_OPTIONS = (
    _layout_option(
        "--dp", "Data parallel. Numbers of the layout that are not given are the yaml's, or chosen to fit the cards."
    ),
    _layout_option("--mp", "Model parallel: each layer is cut over that many cards of a node."),
    _layout_option("--pp", "Pipeline stages: offset and recompute lists of the yaml are made to fit."),
    _layout_option("--cp", "Context parallel: each sequence is cut over that many cards; for long texts."),
    _layout_option("--ep", "Expert parallel, for models with experts; takes no cards beside those of --dp."),
    _layout_option("--micro-batch-num", "Micro batches of a pipeline, at least as many as it has stages."),
)


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
@click.option(
    "--method",
    type=click.Choice(METHODS),
    help="lora trains low-rank matrices beside the frozen weights (rank and target_modules by --set "
    "model.model_config.pet_config.…). Default: what the yaml says; full for --model.",
)
@click.option(
    "--seq-length",
    type=POSITIVE,
    metavar="N",
    help="Tokens of a row; sets training_seqlen, extend_method and theta with it.",
)
@click.option(
    "--pretrain-seq-length",
    type=POSITIVE,
    metavar="N",
    default=PRETRAIN_SEQ_LENGTH,
    show_default=True,
    help="What the weights were trained with; only with --seq-length, which extends by NTK beyond it.",
)
@layout_options
@click.option(
    "--checkpoint-transform",
    type=click.Choice(TRANSFORMS),
    help="auto: cut the weights for the cards at the start; offline: they are cut already (telechat-run convert); "
    "none: load them as they are. Default: by what --checkpoint holds.",
)
@click.option(
    "--flash-attention-load-balance",
    "speed_up_file",
    metavar="FILE",
    help="MindSpore's parallel_speed_up JSON on this machine, for long texts; each node gets a copy.",
)
@click.option("--epochs", type=POSITIVE, help="Override runner_config.epochs.")
@click.option("--batch-size", type=POSITIVE, help="Override runner_config.batch_size.")
@click.option(
    "--learning-rate", type=click.FloatRange(min=0, min_open=True), help="Override lr_schedule.learning_rate."
)
@click.option(
    "--resume",
    "resumed",
    metavar="JOB",
    help="Resume the training of JOB, or of your newest finetune (latest), from its latest complete checkpoint. Its "
    "yaml, options and nodes are taken; --set and the like come on top.",
)
@job_options("finetune", trains=True)
def finetune(
    *,
    request: Request,
    resumed: Optional[str],
    config_file: Optional[str],
    model: Optional[str],
    speed_up_file: Optional[str],
    **wishes: Any,
) -> None:
    """Finetune a model on all nodes of the inventory.

    Looks at every node, makes a plan, starts msrun on all nodes at once, shows the logs of the first and the last rank,
    and exits with the job's status. When one node fails, all are stopped, with or without this command.
    """
    if resumed is not None:
        resume_job(request, resumed, wishes)
        return
    source = config_source(config_file, model)
    spec = FinetuneSpec(model=model, speed_up=_read(speed_up_file) if speed_up_file else "", **wishes)

    def plan(at: Preparation) -> JobPlan:
        return plan_finetune(spec, request.options, at.cluster, at.clients, source=source, interrupt=at.interrupt)

    run_job(request, plan, go_on=go_on)


def _read(name: str) -> str:
    try:
        return Path(name).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no UTF-8 text"
        raise SpecError(f"--flash-attention-load-balance {name!r} can't be read: {reason}") from error
