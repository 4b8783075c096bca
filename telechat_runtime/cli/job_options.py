# SPDX-License-Identifier: Apache-2.0
"""Options that every command which runs a job has, and the running itself: plan, or launch and report."""

from __future__ import annotations

import contextlib
import functools
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Iterator, Mapping, Optional, TypeVar

import click

from telechat_runtime.cli.options import interruptible, inventory_options, json_option
from telechat_runtime.errors import ConfigError, UsageError
from telechat_runtime.events import Observer
from telechat_runtime.fleet import open_fleet
from telechat_runtime.interrupt import Interrupt
from telechat_runtime.inventory import InventoryOptions, load_cluster
from telechat_runtime.launch import launch, start_detached
from telechat_runtime.node_client import NodeClient
from telechat_runtime.plan import JobPlan
from telechat_runtime.prepare import ConfigSource
from telechat_runtime.progress import LiveProgress, PlainProgress
from telechat_runtime.report import Report
from telechat_runtime.spec import (
    DEFAULT_CLUSTER_TIMEOUT,
    DEFAULT_GRACE_SECONDS,
    JobOptions,
    parse_override,
    parse_variable,
)
from telechat_runtime.topology import Cluster

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


class Preparation:
    """What a job is prepared with: the cluster, a client for each of its nodes, and Ctrl-C."""

    def __init__(self, cluster: Cluster, clients: Mapping[str, NodeClient], interrupt: Interrupt) -> None:
        self.cluster = cluster
        self.clients = clients
        self.interrupt = interrupt


def run_job(
    request: Request,
    *stages: Callable[[Preparation], JobPlan],
    finish: Optional[Callable[[JobPlan, Preparation, Report], Mapping[str, Any]]] = None,
) -> None:
    """Prepare a job and run it, or show its plan with --dry-run; end the command with the report's exit code.

    A job of several stages goes on while each succeeds; what comes after the first is planned when that has ended.

    `finish` is called when the job has succeeded, while the nodes are still at hand, and returns what the report is to
    show besides: name and value.
    """
    more: Mapping[str, Any] = {}
    with interruptible() as interrupt, contextlib.ExitStack() as stack:
        cluster = load_cluster(request.inventory, interrupt)
        preparation = Preparation(cluster, stack.enter_context(open_fleet(cluster)), interrupt)
        for number, prepare in enumerate(stages, start=1):
            plan = prepare(preparation)
            if request.dry_run:
                click.echo(json.dumps(plan.as_dict(), indent=2) if request.as_json else plan.as_text())
                return
            if request.detach:
                _start_detached(request, plan, preparation)
                return
            report = _run(request, plan, preparation)
            if report.exit_code != 0:
                break
            if number < len(stages):
                click.echo(report.as_text(), err=request.as_json)
        if finish is not None and report.exit_code == 0:
            more = finish(plan, preparation, report)
    show_report(report, more, as_json=request.as_json)
    click.get_current_context().exit(report.exit_code)


def _start_detached(request: Request, plan: JobPlan, at: Preparation) -> None:
    _introduce(request, plan)
    with progress(as_json=request.as_json) as observer:
        start_detached(plan, at.clients, observer=observer, interrupt=at.interrupt)
    if request.as_json:
        click.echo(json.dumps({"job_id": plan.job_id, "nodes": [node.node.name for node in plan.nodes]}, indent=2))
    else:
        click.echo(f"it runs on without this command; watch it with `telechat-run attach {plan.job_id}`")


def _introduce(request: Request, plan: JobPlan) -> None:
    click.echo(f"job {plan.job_id}: {len(plan.nodes)} nodes, {plan.world_size} workers", err=request.as_json)
    for note in plan.notes:
        click.echo(f"note: {note}", err=request.as_json)


def _run(request: Request, plan: JobPlan, at: Preparation) -> Report:
    _introduce(request, plan)
    with progress(as_json=request.as_json) as observer:
        return launch(plan, at.clients, observer=observer, interrupt=at.interrupt, all_ranks=request.all_ranks)


@contextlib.contextmanager
def progress(*, as_json: bool) -> Iterator[Observer]:
    """Show a running job: live on a terminal, else line by line; on stderr when stdout is for JSON."""
    if as_json or not sys.stdout.isatty():
        yield PlainProgress(lambda line: click.echo(line, err=as_json))
        return
    live = LiveProgress()
    live.start()
    try:
        yield live
    finally:
        live.stop()


def show_report(report: Report, more: Optional[Mapping[str, Any]] = None, *, as_json: bool) -> None:
    """Write how a job went, and what its command has to show besides."""
    more = more or {}
    if as_json:
        click.echo(json.dumps({**report.as_dict(), **more}, indent=2))
        return
    click.echo("\n".join([report.as_text(), *(f"  {name:<9} {value}" for name, value in more.items())]))


all_ranks_option = click.option(
    "--all-ranks", is_flag=True, help="Show the logs of all ranks; by default those of the first and the last."
)
detach_option = click.option(
    "-d",
    "--detach",
    is_flag=True,
    help="Start the job and leave it to its nodes, which stop it everywhere when one fails; see attach, jobs, stop.",
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
        click.option(
            "--grace",
            type=click.IntRange(min=0),
            default=DEFAULT_GRACE_SECONDS,
            show_default=True,
            envvar="TELECHAT_GRACE",
            show_envvar=True,
            help="Seconds between SIGTERM and SIGKILL when a job is stopped.",
        ),
        all_ranks_option,
        click.option(
            "--dry-run",
            is_flag=True,
            help="Look at the nodes, show the exact command of each, and start nothing.",
        ),
        json_option,
    )
