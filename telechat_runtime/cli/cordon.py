# SPDX-License-Identifier: Apache-2.0
"""`telechat-run cordon` and `telechat-run uncordon`."""

from __future__ import annotations

import json
from typing import Tuple

import click

from telechat_runtime.cli.options import exit_with, interruptible, inventory_options, json_option
from telechat_runtime.cluster.inventory import InventoryOptions, load_cluster
from telechat_runtime.fleet.service import set_service
from telechat_runtime.job.identity import whoami
from telechat_runtime.remote.connections import open_fleet


@click.command(short_help="Take nodes out of service.")
@click.argument("nodes", nargs=-1, required=True)
@inventory_options
@click.option("--reason", required=True, help="Why; whoever is refused a node reads it.")
@json_option
def cordon(*, nodes: Tuple[str, ...], inventory: InventoryOptions, reason: str, as_json: bool) -> None:
    """Take NODES out of service: no new job starts on them, one that runs is left alone. Upgrades leave them so."""
    _change_service(nodes, inventory, out=True, reason=reason, as_json=as_json)


@click.command(short_help="Put nodes in service again.")
@click.argument("nodes", nargs=-1, required=True)
@inventory_options
@json_option
def uncordon(*, nodes: Tuple[str, ...], inventory: InventoryOptions, as_json: bool) -> None:
    """Put NODES in service again. Refused for those that a fleet upgrade has taken out: it puts them in by itself."""
    _change_service(nodes, inventory, out=False, reason="", as_json=as_json)


def _change_service(
    nodes: Tuple[str, ...], inventory: InventoryOptions, *, out: bool, reason: str, as_json: bool
) -> None:
    """Take nodes out of service or put them in, and show what they say then."""
    with interruptible() as interrupt:
        cluster = load_cluster(inventory, interrupt)
        with open_fleet(cluster) as clients:
            found = set_service(nodes, cluster, clients, interrupt, out=out, reason=reason, by=whoami())
    if as_json:
        click.echo(json.dumps({name: service.as_dict() for name, service in found.items()}, indent=2))
    else:
        for name, service in found.items():
            if service.error is None:
                click.echo(f"{name}: {service.as_text()}")
    exit_with({name: service.error for name, service in found.items() if service.error is not None})
