# SPDX-License-Identifier: Apache-2.0
"""`telechat-run jobs`."""

from __future__ import annotations

import json
from typing import List

import click

from telechat_runtime.cli.options import exit_with, interruptible, inventory_options, json_option
from telechat_runtime.cli.table import table_text
from telechat_runtime.cluster.inventory import InventoryOptions, load_cluster
from telechat_runtime.remote.connections import open_fleet
from telechat_runtime.run.status import FleetJob, fleet_status

_HEADER = ["JOB", "KIND", "OWNER", "STATE", "STARTED", "ENDED", "NODES"]


@click.command(short_help="List the jobs of all nodes.")
@inventory_options
@click.option("--active", is_flag=True, help="Only jobs that have still to end.")
@click.option("--owner", default="", metavar="NAME", help="Only jobs whose owner's name holds this.")
@click.option("-n", "--last", type=click.IntRange(min=1), metavar="N", help="Only the N that started last.")
@json_option
def jobs(*, inventory: InventoryOptions, active: bool, owner: str, last: int, as_json: bool) -> None:
    """List the jobs of all nodes, the newest first, those that were started elsewhere among them.

    Ends with 4 when a node could not be asked; the jobs of the others are listed all the same.
    """
    with interruptible() as interrupt, open_fleet(load_cluster(inventory, interrupt)) as clients:
        status = fleet_status(clients, interrupt)
    found = [job for job in status.jobs() if owner in job.owner and (job.is_active or not active)][:last]
    if as_json:
        click.echo(json.dumps([job.as_dict() for job in found], indent=2))
    elif found:
        click.echo(table_text(_HEADER, [_row(job) for job in found]))
    exit_with(status.errors)


def _row(job: FleetJob) -> List[str]:
    ended = max((part.ended or "" for part in job.nodes.values()), default="")
    state = str(job.state)
    return [job.job_id, job.kind, job.owner, state, job.started, "" if job.is_active else ended, " ".join(job.nodes)]
