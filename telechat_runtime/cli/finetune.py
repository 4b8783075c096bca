# SPDX-License-Identifier: Apache-2.0
"""`telechat-run finetune`."""

from __future__ import annotations

import contextlib
import json
import sys
from pathlib import Path
from typing import Any, Iterator, Optional, Tuple

import click

from telechat_runtime.cli.options import interruptible, inventory_options, json_option
from telechat_runtime.errors import ConfigError, UsageError
from telechat_runtime.events import Observer
from telechat_runtime.finetune import ConfigSource, prepare
from telechat_runtime.fleet import open_fleet
from telechat_runtime.inventory import InventoryOptions, load_cluster
from telechat_runtime.launch import launch
from telechat_runtime.progress import LiveProgress, PlainProgress
from telechat_runtime.spec import (
    DEFAULT_CLUSTER_TIMEOUT,
    DEFAULT_GRACE_SECONDS,
    MODELS,
    JobSpec,
    parse_override,
    parse_variable,
)

_POSITIVE = click.IntRange(min=1)


@click.command(short_help="Finetune a model on all nodes of the inventory.")
@inventory_options
@click.option(
    "--config",
    "config_file",
    metavar="FILE",
    envvar="TELECHAT_CONFIG",
    show_envvar=True,
    help="MindFormers yaml on this machine; each node gets a copy with the overrides.",
)
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
    "--set",
    "overrides",
    multiple=True,
    metavar="KEY=VALUE",
    help="Override a key of the yaml, as runner_config.epochs=2; +KEY=VALUE adds one. May be repeated.",
)
@click.option(
    "--env",
    "variables",
    multiple=True,
    metavar="NAME=VALUE",
    help="Environment variable of the job, before telechat_env. May be repeated.",
)
@click.option(
    "--npus-per-node",
    type=_POSITIVE,
    envvar="TELECHAT_NPUS_PER_NODE",
    show_envvar=True,
    help="Use the first N NPUs of each node. Default: all.",
)
@click.option("--epochs", type=_POSITIVE, help="Override runner_config.epochs.")
@click.option("--batch-size", type=_POSITIVE, help="Override runner_config.batch_size.")
@click.option(
    "--learning-rate", type=click.FloatRange(min=0, min_open=True), help="Override lr_schedule.learning_rate."
)
@click.option(
    "--job-name",
    default="finetune",
    show_default=True,
    envvar="TELECHAT_JOB_NAME",
    show_envvar=True,
    help="First part of the job id.",
)
@click.option(
    "--cluster-timeout",
    type=_POSITIVE,
    default=DEFAULT_CLUSTER_TIMEOUT,
    show_default=True,
    envvar="TELECHAT_CLUSTER_TIMEOUT",
    show_envvar=True,
    help="Seconds that msrun waits for all workers to join.",
)
@click.option(
    "--grace",
    type=click.IntRange(min=0),
    default=DEFAULT_GRACE_SECONDS,
    show_default=True,
    envvar="TELECHAT_GRACE",
    show_envvar=True,
    help="Seconds between SIGTERM and SIGKILL when a job is stopped.",
)
@click.option(
    "--all-ranks", is_flag=True, help="Show the logs of all ranks; by default those of the first and the last."
)
@click.option("--dry-run", is_flag=True, help="Look at the nodes, show the exact command of each, and start nothing.")
@json_option
def finetune(
    *,
    inventory: InventoryOptions,
    config_file: Optional[str],
    model: Optional[str],
    overrides: Tuple[str, ...],
    variables: Tuple[str, ...],
    grace: int,
    all_ranks: bool,
    dry_run: bool,
    as_json: bool,
    **wishes: Any,
) -> None:
    """Finetune a model on all nodes of the inventory.

    Looks at every node, makes a plan, starts msrun on all nodes at once, shows the logs of the first and the last rank,
    and ends with the truth in its exit code. When one node fails, all are stopped.
    """
    if bool(config_file) == bool(model):
        raise UsageError("give either --config FILE or --model NAME")
    spec = JobSpec(
        model=model,
        overrides=tuple(parse_override(text) for text in overrides),
        env=tuple(parse_variable(text) for text in variables),
        grace_seconds=grace,
        **wishes,
    )
    source = _read_config(config_file) if config_file else None
    with interruptible() as interrupt, contextlib.ExitStack() as stack:
        cluster = load_cluster(inventory, interrupt)
        clients = stack.enter_context(open_fleet(cluster))
        plan = prepare(spec, cluster, clients, source=source, interrupt=interrupt)
        if dry_run:
            click.echo(json.dumps(plan.as_dict(), indent=2) if as_json else plan.as_text())
            return
        click.echo(f"job {plan.job_id}: {len(plan.nodes)} nodes, {plan.world_size} workers", err=as_json)
        with _progress(as_json=as_json) as progress:
            report = launch(plan, clients, observer=progress, interrupt=interrupt, all_ranks=all_ranks)
    click.echo(json.dumps(report.as_dict(), indent=2) if as_json else report.as_text())
    click.get_current_context().exit(report.exit_code)


def _read_config(name: str) -> ConfigSource:
    try:
        return ConfigSource(name=name, text=Path(name).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no UTF-8 text"
        raise ConfigError(f"--config {name!r} can't be read: {reason}") from error


@contextlib.contextmanager
def _progress(*, as_json: bool) -> Iterator[Observer]:
    if as_json or not sys.stdout.isatty():
        yield PlainProgress(lambda line: click.echo(line, err=as_json))
        return
    live = LiveProgress()
    live.start()
    try:
        yield live
    finally:
        live.stop()
