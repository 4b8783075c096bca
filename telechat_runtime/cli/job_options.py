# SPDX-License-Identifier: Apache-2.0
"""Options that every command which runs a job has, and the running itself: plan, or launch and report."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Optional, TypeVar

import click

from telechat_runtime.cli.options import grace_option, inventory_options, json_option
from telechat_runtime.cluster.inventory import InventoryOptions
from telechat_runtime.errors import ConfigError, UsageError
from telechat_runtime.job.options import (
    DEFAULT_CLUSTER_TIMEOUT,
    DEFAULT_HEARTBEAT_TIMEOUT,
    JobOptions,
    parse_override,
    parse_variable,
)
from telechat_runtime.training.shipped import ConfigSource

F = TypeVar("F", bound=Callable[..., Any])
POSITIVE = click.IntRange(min=1)


@dataclass(frozen=True)
class Request:
    """What the common options of a job's command ask for."""

    inventory: InventoryOptions
    options: JobOptions
    all_ranks: bool
    dry_run: bool
    as_json: bool
    detach: bool = False


def job_options(job_name: str, *, npus: str = "all") -> Callable[[F], Callable[..., Any]]:
    """Add the common options of jobs, the inventory's among them; the command gets them as one Request, `request`.

    `npus` says what is taken without --npus-per-node.
    """

    def decorate(command: F) -> Callable[..., Any]:
        @functools.wraps(command)
        def wrapper(**values: Any) -> Any:
            options = JobOptions(
                job_name=values.pop("job_name"),
                env=tuple(parse_variable(text) for text in values.pop("variables")),
                npus_per_node=values.pop("npus_per_node"),
                cluster_timeout=values.pop("cluster_timeout"),
                grace_seconds=values.pop("grace"),
                heartbeat_timeout=values.pop("heartbeat_timeout"),
                nodes=values.pop("node_count"),
                exclude=values.pop("exclude"),
                out_of_service=values.pop("out_of_service"),
            )
            modes = {name: values.pop(name) for name in ("inventory", "all_ranks", "dry_run", "as_json")}
            return command(request=Request(options=options, **modes), **values)

        for option in reversed((inventory_options, *_options(job_name, npus))):
            wrapper = option(wrapper)
        return wrapper

    return decorate


def config_options(command: F) -> F:
    """Add --config and --set: the command gets `config_file`, for `config_source`, and `overrides`, for `Override`s."""
    for option in reversed(_CONFIG_OPTIONS):
        command = option(command)
    return command


def config_source(config_file: Optional[str], model: Optional[str]) -> Optional[ConfigSource]:
    """Return the yaml of --config, None for that of --model. Raises UsageError for both or none, or ConfigError."""
    if bool(config_file) == bool(model):
        raise UsageError("give either --config FILE or --model NAME")
    if not config_file:
        return None
    try:
        return ConfigSource(name=config_file, text=Path(config_file).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no UTF-8 text"
        raise ConfigError(f"--config {config_file!r} can't be read: {reason}") from error


all_ranks_option = click.option(
    "--all-ranks", is_flag=True, help="Show the logs of all ranks; by default those of the first and the last."
)
detach_option = click.option(
    "-d",
    "--detach",
    is_flag=True,
    help="Start the job and leave it to its nodes, which stop it everywhere when one fails; see attach, jobs, stop.",
)
out_of_service_option = click.option(
    "--out-of-service",
    is_flag=True,
    help="Run also on nodes that are out of service (telechat-run cordon, a fleet upgrade): to try them.",
)

_CONFIG_OPTIONS = (
    click.option(
        "--config",
        "config_file",
        metavar="FILE",
        envvar="TELECHAT_CONFIG",
        show_envvar=True,
        help="MindFormers yaml on this machine; each node gets a copy with the overrides.",
    ),
    click.option(
        "--set",
        "overrides",
        multiple=True,
        metavar="KEY=VALUE",
        callback=lambda _context, _option, texts: tuple(parse_override(text) for text in texts),
        help="Override a key of the yaml, as runner_config.epochs=2; +KEY=VALUE adds one. May be repeated.",
    ),
)


def _options(job_name: str, npus: str) -> tuple[Callable[[Any], Any], ...]:
    return (
        click.option(
            "--env",
            "variables",
            multiple=True,
            metavar="NAME=VALUE",
            help="Environment variable of the job, before telechat_env. May be repeated.",
        ),
        click.option(
            "--npus-per-node",
            type=POSITIVE,
            envvar="TELECHAT_NPUS_PER_NODE",
            show_envvar=True,
            help=f"Use the first N NPUs of each node. Default: {npus}.",
        ),
        click.option(
            "--nodes",
            "node_count",
            type=POSITIVE,
            metavar="NUMBER",
            help="Run on so many of the nodes: the first that are free and healthy. Default: on all, or not at all.",
        ),
        click.option("--exclude", multiple=True, metavar="NODE", help="Leave this node out. May be repeated."),
        out_of_service_option,
        click.option(
            "--job-name",
            default=job_name,
            show_default=True,
            envvar="TELECHAT_JOB_NAME",
            show_envvar=True,
            help="First part of the job id.",
        ),
        click.option(
            "--cluster-timeout",
            type=POSITIVE,
            default=DEFAULT_CLUSTER_TIMEOUT,
            show_default=True,
            envvar="TELECHAT_CLUSTER_TIMEOUT",
            show_envvar=True,
            help="Seconds that msrun waits for all workers to join.",
        ),
        grace_option,
        click.option(
            "--heartbeat-timeout",
            type=click.IntRange(min=3),
            default=DEFAULT_HEARTBEAT_TIMEOUT,
            show_default=True,
            envvar="TELECHAT_HEARTBEAT_TIMEOUT",
            show_envvar=True,
            help="Seconds without a sign of life after which the nodes of a job give one of them up, and end it.",
        ),
        all_ranks_option,
        click.option(
            "--dry-run",
            is_flag=True,
            help="Look at the nodes, show the exact command of each, and start nothing.",
        ),
        json_option,
    )
