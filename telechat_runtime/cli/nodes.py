# SPDX-License-Identifier: Apache-2.0
"""`telechat-run nodes`."""

from __future__ import annotations

import json
from typing import Dict

import click

from telechat_runtime.cli.options import exit_with, interruptible, inventory_options, json_option
from telechat_runtime.cli.table import table_text
from telechat_runtime.cluster.inventory import InventoryOptions, load_cluster
from telechat_runtime.cluster.topology import Cluster
from telechat_runtime.errors import ProtocolError
from telechat_runtime.fleet.service import NodeService, look_at_service
from telechat_runtime.remote.connections import open_fleet


@click.command(short_help="Show the cluster: ranks, addresses, NPUs, service.")
@inventory_options
@click.option("--offline", is_flag=True, help="Show what the inventory says; contact no node.")
@json_option
def nodes(*, inventory: InventoryOptions, offline: bool, as_json: bool) -> None:
    """Show the cluster that the inventory describes: ranks, addresses, NPUs; and which nodes are in service.

    Ends with 4 when a node's runtime does not fit this telechat-run; one that can't be reached is only shown so.
    """
    found: Dict[str, NodeService] = {}
    with interruptible() as interrupt:
        cluster = load_cluster(inventory, interrupt)
        if not offline:
            with open_fleet(cluster) as clients:
                found = look_at_service(clients, interrupt)
    click.echo(json.dumps(_document(cluster, found), indent=2) if as_json else _text(cluster, found))
    exit_with({name: each.error for name, each in found.items() if isinstance(each.error, ProtocolError)})


def _document(cluster: Cluster, found: Dict[str, NodeService]) -> Dict[str, object]:
    document = cluster.as_dict()
    document["nodes"] = [
        {**node, **({"service": found[node["name"]].as_dict()} if found else {})} for node in document["nodes"]
    ]
    return document


def _text(cluster: Cluster, found: Dict[str, NodeService]) -> str:
    head = ["RANK", "NODE", "ADDRESS", "NPUS", "CONNECTION", "CONTAINER", *(["SERVICE"] if found else [])]
    rows = [
        [
            str(rank),
            node.name,
            node.addr,
            str(node.npu_count),
            "this machine" if node.connection.kind == "local" else f"ssh {node.connection.host}",
            node.container,
            *([found[node.name].as_text()] if found else []),
        ]
        for rank, node in enumerate(cluster.nodes)
    ]
    return table_text(head, rows)
