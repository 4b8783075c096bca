# SPDX-License-Identifier: Apache-2.0
"""`telechat-run logs`."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import Dict, Optional, Sequence, Set

import click

from telechat_runtime.cli.options import interruptible, inventory_options
from telechat_runtime.cli.progress import event_text
from telechat_runtime.cli.timespec import SINCE_HELP, parse_since
from telechat_runtime.cluster.inventory import InventoryOptions, load_cluster
from telechat_runtime.errors import InterruptedByUserError, UnreachableError
from telechat_runtime.interrupt import Interrupt
from telechat_runtime.job.events import LogLine
from telechat_runtime.job.identity import whoami
from telechat_runtime.job.state import JobState
from telechat_runtime.remote.client import NodeClient
from telechat_runtime.remote.connections import open_fleet
from telechat_runtime.remote.resumed_watch import ResumedWatch, watch_job
from telechat_runtime.remote.watch import HEARTBEAT_SECONDS, RECONNECT_SECONDS, FleetWatch, NodeLost, NodeSilent
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
    open_nodes: Set[str] = set(job.nodes)
    try:
        while open_nodes:
            if interrupt.requested:
                raise InterruptedByUserError("interrupted while showing the logs")
            item = watch.poll()
            if item is None or item[0] not in open_nodes:
                continue
            name, event = item
            if isinstance(event, NodeLost):
                raise event.fault or UnreachableError(event.reason, node=name)
            if not isinstance(event, dict):
                silent = isinstance(event, NodeSilent)
                click.echo(f"{name}: {'not heard for a while, looking for it' if silent else 'heard again'}", err=True)
            elif event["event"] == "log":
                line = LogLine(node=name, rank=event.get("rank"), log=event["log"], text=event["line"])
                click.echo(event_text(line))
            elif _is_end(event, follow=follow):
                open_nodes.discard(name)
                watch.ended(name)
    finally:
        watch.close()


def _is_end(event: Dict[str, object], *, follow: bool) -> bool:
    # A heartbeat comes when there is nothing more to read for now.
    if event["event"] == "heartbeat":
        return not follow
    return event["event"] == "state" and JobState(str(event["state"])).is_terminal
