# SPDX-License-Identifier: Apache-2.0
"""`telechat-run logs`."""

from __future__ import annotations

import contextlib
import functools
import math
from dataclasses import dataclass
from typing import Dict, Optional, Sequence

import click

from telechat_runtime.cli.options import interruptible, inventory_options
from telechat_runtime.cli.progress import event_text
from telechat_runtime.cli.timespec import SINCE_HELP, parse_since
from telechat_runtime.cluster.inventory import InventoryOptions, load_cluster
from telechat_runtime.errors import UnreachableError
from telechat_runtime.interrupt import Interrupt
from telechat_runtime.job.events import LogLine
from telechat_runtime.job.identity import whoami
from telechat_runtime.remote.client import NodeClient
from telechat_runtime.remote.connections import open_fleet
from telechat_runtime.remote.events import Event, Heartbeat, LogEvent, StateEvent
from telechat_runtime.remote.watch import (
    HEARTBEAT_SECONDS,
    RECONNECT_SECONDS,
    FleetWatch,
    NodeBack,
    NodeLost,
    NodeSilent,
    ResumedWatch,
    watch_job,
)
from telechat_runtime.run.status import FleetJob, choose_job, fleet_status


@click.command(short_help="Show a job's logs.")
@click.argument("job_id", required=False)
@inventory_options
@click.option("--rank", "ranks", type=click.IntRange(min=0), multiple=True, help="Only this rank; may be repeated.")
@click.option("--since", callback=parse_since, metavar="WHEN", help=SINCE_HELP)
@click.option("--tail", type=click.IntRange(min=0), metavar="N", help="Begin with the last N lines of each log.")
@click.option("-f", "--follow", is_flag=True, help="Go on until the job has ended.")
def logs(
    *,
    job_id: Optional[str],
    inventory: InventoryOptions,
    ranks: Sequence[int],
    since: Optional[float],
    tail: Optional[int],
    follow: bool,
) -> None:
    """Show the logs of JOB_ID with the prefix [node rank]; without it, of the only active job that is yours."""
    with interruptible() as interrupt:
        cluster = load_cluster(inventory, interrupt)
        with open_fleet(cluster) as clients:
            status = fleet_status(clients, interrupt)
            status.check_faults()
            job = choose_job(status, job_id, whoami())
            begin = _Begin(ranks=ranks or None, since=since, tail=tail)
            _show(job, clients, interrupt, begin, follow=follow)


@dataclass(frozen=True)
class _Begin:
    """Which logs, and where each begins."""

    ranks: Optional[Sequence[int]]
    since: Optional[float]
    tail: Optional[int]


def _show(
    job: FleetJob, clients: Dict[str, NodeClient], interrupt: Interrupt, logs_from: _Begin, *, follow: bool
) -> None:
    def begin(client: NodeClient) -> ResumedWatch:
        job_root = client.node.job_root
        patience = math.inf if follow else HEARTBEAT_SECONDS
        return watch_job(client, job.job_id, job_root, patience=patience, **vars(logs_from))

    watch = FleetWatch(
        {name: functools.partial(begin, clients[name]) for name in job.nodes},
        heartbeat_timeout=HEARTBEAT_SECONDS,
        patience=RECONNECT_SECONDS if follow else None,
    )
    with contextlib.closing(watch):
        for name, event in watch.follow(interrupt):
            if isinstance(event, NodeLost):
                raise event.fault or UnreachableError(event.reason, node=name)
            if isinstance(event, NodeSilent):
                click.echo(f"{name}: not heard for a while, looking for it", err=True)
            elif isinstance(event, NodeBack):
                click.echo(f"{name}: heard again", err=True)
            elif isinstance(event, LogEvent):
                click.echo(event_text(LogLine(node=name, rank=event.rank, log=event.log, text=event.line)))
            elif _is_end(event, follow=follow):
                watch.ended(name)
    interrupt.check("showing the logs")


def _is_end(event: Event, *, follow: bool) -> bool:
    if isinstance(event, Heartbeat):
        return not follow
    return isinstance(event, StateEvent) and event.state.is_terminal
