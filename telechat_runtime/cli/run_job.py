# SPDX-License-Identifier: Apache-2.0
"""Runs a job for a command: chooses its nodes, plans, shows the plan or launches it, and reports."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import json
import sys
from dataclasses import dataclass
from typing import Any, Callable, Dict, Iterator, Mapping, Optional

import click

from telechat_runtime.cli.job_options import Request
from telechat_runtime.cli.options import interruptible
from telechat_runtime.cli.progress import LiveProgress, PlainProgress
from telechat_runtime.cli.restart_daemon import check_keeper, start_keeper
from telechat_runtime.cluster.inventory import Clusters, load_clusters
from telechat_runtime.cluster.topology import Cluster
from telechat_runtime.finetune.restart import RestartPolicy, run_with_restarts
from telechat_runtime.interrupt import Interrupt
from telechat_runtime.job.events import Observer
from telechat_runtime.job.report import Report
from telechat_runtime.plan.plan import JobPlan
from telechat_runtime.remote.client import NodeClient
from telechat_runtime.remote.connections import open_fleet
from telechat_runtime.run.launch import launch, start_detached
from telechat_runtime.run.placement import Placement, place


@dataclass(frozen=True)
class Preparation:
    """What a job is prepared with: its nodes, a client for each node of the inventory, and Ctrl-C.

    `clusters` are all nodes that the inventory has, and those that --limit leaves.
    """

    cluster: Cluster
    clusters: Clusters
    clients: Mapping[str, NodeClient]
    interrupt: Interrupt


def run_job(
    request: Request,
    *stages: Callable[[Preparation], JobPlan],
    finish: Optional[Callable[[JobPlan, Preparation, Report], Mapping[str, Any]]] = None,
    places_itself: bool = False,
    go_on: Optional[Callable[[Preparation, str, int], JobPlan]] = None,
) -> None:
    """Prepare a job and run it, or show its plan with --dry-run; end the command with the report's exit code.

    A job of several stages goes on while each succeeds; what comes after the first is planned when that has ended.

    `finish` is called when the job has succeeded, while the nodes are still at hand, and returns what the report is to
    show besides: name and value. A job that `places_itself` chooses its nodes while it is prepared. `go_on` plans the
    job that takes up a failed one's training, for --max-restarts.
    """
    more: Mapping[str, Any] = {}
    with interruptible() as interrupt, contextlib.ExitStack() as stack:
        clusters = load_clusters(request.inventory, interrupt)
        clients = stack.enter_context(open_fleet(clusters.everyone))
        placement = Placement(clusters.limited)
        if not places_itself:
            placement = place(clusters.limited, request.options, clients, interrupt)
        preparation = Preparation(placement.cluster, clusters, clients, interrupt)
        for number, prepare in enumerate(stages, start=1):
            plan = prepare(preparation)
            plan = dataclasses.replace(plan, notes=(*placement.notes, *plan.notes))
            if request.dry_run:
                click.echo(json.dumps(plan.as_dict(), indent=2) if request.as_json else plan.as_text())
                return
            if request.detach:
                _start_detached(request, plan, preparation)
                return
            report = _run(request, plan, preparation, go_on)
            if report.exit_code != 0:
                break
            if number < len(stages):
                click.echo(report.as_text(), err=request.as_json)
        if finish is not None and report.exit_code == 0:
            more = finish(plan, preparation, report)
    show_report(report, more, as_json=request.as_json)
    click.get_current_context().exit(report.exit_code)


def _start_detached(request: Request, plan: JobPlan, at: Preparation) -> None:
    if plan.options.max_restarts:
        check_keeper(request.inventory)
    introduce(plan, as_json=request.as_json)
    with progress(as_json=request.as_json) as observer:
        start_detached(plan, at.clients, observer=observer, interrupt=at.interrupt)
    keeper = start_keeper(plan.job_id, request.inventory) if plan.options.max_restarts else None
    if request.as_json:
        document: Dict[str, Any] = {"job_id": plan.job_id, "nodes": [node.node.name for node in plan.nodes]}
        document["keeper"] = {"pid": keeper.pid, "log": str(keeper.log)} if keeper else None
        click.echo(json.dumps(document, indent=2))
        return
    click.echo(f"it runs on without this command; watch it with `telechat-run attach {plan.job_id}`")
    if keeper:
        click.echo(f"process {keeper.pid} of this machine begins it again when need be; its log is {keeper.log}")


def introduce(plan: JobPlan, *, as_json: bool) -> None:
    """Say which job is about to begin, and what is worth knowing of it."""
    click.echo(f"job {plan.job_id}: {len(plan.nodes)} nodes, {plan.world_size} workers", err=as_json)
    for note in plan.notes:
        click.echo(f"note: {note}", err=as_json)


def _run(
    request: Request, plan: JobPlan, at: Preparation, go_on: Optional[Callable[[Preparation, str, int], JobPlan]]
) -> Report:
    with progress(as_json=request.as_json) as observer:

        def run(job: JobPlan) -> Report:
            introduce(job, as_json=request.as_json)
            return launch(job, at.clients, observer=observer, interrupt=at.interrupt, all_ranks=request.all_ranks)

        if go_on is None:
            return run(plan)
        plan_next = functools.partial(go_on, at)
        return run_with_restarts(
            plan, RestartPolicy(run=run, plan_next=plan_next, tell=observer, interrupt=at.interrupt)
        )


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
