# SPDX-License-Identifier: Apache-2.0
"""`telechat-run status`."""

from __future__ import annotations

import json

import click

from telechat_runtime.cli.options import exit_with, interruptible, inventory_options, json_option
from telechat_runtime.cli.table import table_text
from telechat_runtime.cluster.inventory import InventoryOptions, load_cluster
from telechat_runtime.remote.connections import open_fleet
from telechat_runtime.run.status import FleetStatus, fleet_status

_SHOWN_JOBS = 10


@click.command(short_help="Show who holds the nodes, and their jobs.")
@inventory_options
@json_option
def status(*, inventory: InventoryOptions, as_json: bool) -> None:
    """Show who holds the nodes, and the latest jobs on them; `telechat-run jobs` lists all.

    Ends with 4 when a node could not be asked; the others are shown all the same.
    """
    with interruptible() as interrupt:
        cluster = load_cluster(inventory, interrupt)
        with open_fleet(cluster) as clients:
            found = fleet_status(clients, interrupt)
    click.echo(json.dumps(found.as_dict(), indent=2) if as_json else _text(found))
    exit_with(found.errors)


def _text(found: FleetStatus) -> str:
    leases = found.holders()
    rows = [
        [name, leases[name].owner, leases[name].job_id, leases[name].since]
        if name in leases
        else [name, "free", "", ""]
        for name in found.answers
    ]
    rows += [[name, "no answer", "", ""] for name in found.errors]
    parts = [table_text(["NODE", "HELD BY", "JOB", "SINCE"], rows)]
    jobs = found.jobs()[:_SHOWN_JOBS]
    if jobs:
        job_rows = [
            [job.job_id, job.owner, job.started, " ".join(f"{name}={state}" for name, state in job.states.items())]
            for job in jobs
        ]
        parts.append(table_text(["JOB", "OWNER", "STARTED", "STATES"], job_rows))
    return "\n\n".join(parts)
