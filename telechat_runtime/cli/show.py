# SPDX-License-Identifier: Apache-2.0
"""`telechat-run show` and `telechat-run diff`: the records of jobs."""

from __future__ import annotations

import json

import click

from telechat_runtime.cli.options import interruptible, inventory_options, json_option
from telechat_runtime.cluster.inventory import InventoryOptions, load_cluster
from telechat_runtime.remote.connections import open_fleet
from telechat_runtime.run.record import compare, job_record


@click.command(short_help="Show the record of a job.")
@click.argument("job_id")
@inventory_options
@json_option
def show(*, job_id: str, inventory: InventoryOptions, as_json: bool) -> None:
    """Show what JOB_ID ran, with which yaml, versions, dataset and checkpoint, and how it ended.

    Each node keeps its part, so any machine with the inventory can ask. Values of secret environment variables are
    masked.
    """
    with interruptible() as interrupt, open_fleet(load_cluster(inventory, interrupt)) as clients:
        record = job_record(job_id, clients, interrupt)
    click.echo(json.dumps(record.as_dict(), indent=2) if as_json else record.as_text())


@click.command(short_help="Show how two jobs differ.")
@click.argument("first")
@click.argument("second")
@inventory_options
@json_option
def diff(*, first: str, second: str, inventory: InventoryOptions, as_json: bool) -> None:
    """Show how job SECOND differs from job FIRST: nodes, commands, versions, dataset, checkpoint, outcome, yaml.

    Ends with 0 also when they differ.
    """
    with interruptible() as interrupt, open_fleet(load_cluster(inventory, interrupt)) as clients:
        found = compare(job_record(first, clients, interrupt), job_record(second, clients, interrupt))
    click.echo(json.dumps(found.as_dict(), indent=2) if as_json else found.as_text())
