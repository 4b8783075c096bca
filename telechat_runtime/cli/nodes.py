# SPDX-License-Identifier: Apache-2.0
"""`telechat-run nodes`."""

from __future__ import annotations

import json

import click

from telechat_runtime.cli.options import interruptible, inventory_options, json_option
from telechat_runtime.inventory import InventoryOptions, load_cluster
from telechat_runtime.table import table_text


@click.command(short_help="Show the cluster that the inventory describes.")
@inventory_options
@json_option
def nodes(*, inventory: InventoryOptions, as_json: bool) -> None:
    """Show the cluster that the inventory describes: ranks, addresses, NPUs. Contacts no node."""
    with interruptible() as interrupt:
        cluster = load_cluster(inventory, interrupt)
    if as_json:
        click.echo(json.dumps(cluster.as_dict(), indent=2))
        return
    rows = [
        [
            str(node.rank),
            node.name,
            node.addr,
            str(node.npu_count),
            "this machine" if node.connection.kind == "local" else f"ssh {node.connection.host}",
            node.container,
        ]
        for node in cluster.nodes
    ]
    click.echo(table_text(["RANK", "NODE", "ADDRESS", "NPUS", "CONNECTION", "CONTAINER"], rows))
