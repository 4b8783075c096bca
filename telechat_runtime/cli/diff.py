# SPDX-License-Identifier: Apache-2.0
"""`telechat-run diff`."""

from __future__ import annotations

import json

import click

from telechat_runtime.cli.options import interruptible, inventory_options, json_option
from telechat_runtime.fleet import open_fleet
from telechat_runtime.fleet_record import job_record
from telechat_runtime.inventory import InventoryOptions, load_cluster
from telechat_runtime.record import compare


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
