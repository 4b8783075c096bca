# SPDX-License-Identifier: Apache-2.0
"""`telechat-run uncordon`."""

from __future__ import annotations

from typing import Tuple

import click

from telechat_runtime.cli.cordon import change_service
from telechat_runtime.cli.options import inventory_options, json_option
from telechat_runtime.inventory import InventoryOptions


@click.command(short_help="Put nodes in service again.")
@click.argument("nodes", nargs=-1, required=True)
@inventory_options
@json_option
def uncordon(*, nodes: Tuple[str, ...], inventory: InventoryOptions, as_json: bool) -> None:
    """Put NODES in service again. Refused for those that a fleet upgrade has taken out: it puts them in by itself."""
    change_service(nodes, inventory, out=False, reason="", as_json=as_json)
