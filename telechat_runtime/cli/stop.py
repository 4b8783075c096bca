# SPDX-License-Identifier: Apache-2.0
"""`telechat-run stop`."""

from __future__ import annotations

import json
from typing import Optional

import click

from telechat_runtime.cli.options import exit_with, grace_option, interruptible, inventory_options, json_option
from telechat_runtime.fleet import open_fleet
from telechat_runtime.fleet_status import choose_job, fleet_status, stop_job
from telechat_runtime.inventory import InventoryOptions, load_cluster
from telechat_runtime.prepare import whoami

_LEFT_BEHIND = 1


@click.command(short_help="Stop a job on all nodes.")
@click.argument("job_id", required=False)
@inventory_options
@grace_option
@click.option("--force", is_flag=True, help="SIGKILL at once, as --grace 0.")
@json_option
def stop(*, job_id: Optional[str], inventory: InventoryOptions, grace: int, force: bool, as_json: bool) -> None:
    """Stop JOB_ID on all nodes; without it, the only active job that is yours.

    Ends with 1 when processes outlive it, which are named, and with 4 when a node could not be asked.
    """
    with interruptible() as interrupt:
        cluster = load_cluster(inventory, interrupt)
        with open_fleet(cluster) as clients:
            job = choose_job(fleet_status(clients, interrupt), job_id, whoami())
            result = stop_job(job, clients, grace_seconds=0 if force else grace, by=whoami(), interrupt=interrupt)
    if as_json:
        document = {
            "job_id": result.job_id,
            "nodes": dict(result.answers),
            "errors": {name: str(error) for name, error in result.errors.items()},
        }
        click.echo(json.dumps(document, indent=2))
    else:
        for name, answer in result.answers.items():
            click.echo(f"{name}: {answer['state']}, {len(answer['ended'])} processes ended")
    for name, pids in result.left:
        click.echo(f"telechat-run: error: {name}: still running: {', '.join(str(pid) for pid in pids)}", err=True)
    exit_with(result.errors)
    if result.left:
        click.get_current_context().exit(_LEFT_BEHIND)
