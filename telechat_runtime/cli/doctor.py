# SPDX-License-Identifier: Apache-2.0
"""`telechat-run doctor`."""

from __future__ import annotations

import json
from typing import Sequence

import click

from telechat_runtime.cli.options import exit_with, interruptible, inventory_options, json_option
from telechat_runtime.cluster.inventory import InventoryOptions, load_cluster
from telechat_runtime.doctor.examine import Examination, Group, examine
from telechat_runtime.doctor.facts import Status
from telechat_runtime.remote.connections import open_fleet

_EXIT_CODES = {Status.OK: 0, Status.NOT_SEEN: 0, Status.WARN: 1, Status.FAIL: 2}
_NAMED_NODES = 6
_INDENT = 21


@click.command(short_help="Examine all nodes: containers, chips, versions, kernels.")
@inventory_options
@json_option
def doctor(*, inventory: InventoryOptions, as_json: bool) -> None:
    """Examine all nodes: chips, versions, kernels, NPU network, containers, shared paths, clocks, leftovers.

    Changes nothing, but for a marker file in each of telechat_shared_paths, which it removes again. NPUs ping those of
    all other nodes (of more than four nodes, each node's those of the first, second and fourth after it).

    Says one line a check where all nodes agree, else one line for each kind of node, with the next step. What can't be
    seen is called so, and is no failure.

    Ends with 0 when all is well, 1 with a warning, 2 with a failure (and for a wrong command line); an inventory that
    is invalid is 3, and a node whose runtime does not fit this telechat-run 4, as everywhere.
    """
    with interruptible() as interrupt:
        cluster = load_cluster(inventory, interrupt)
        with open_fleet(cluster) as clients:
            found = examine(cluster, clients, interrupt)
    click.echo(json.dumps(found.as_dict(), indent=2) if as_json else _text(found))
    exit_with(found.faults)
    click.get_current_context().exit(_EXIT_CODES[found.worst])


def _text(found: Examination) -> str:
    total = len(found.findings)
    return "\n".join(_line(group, total) for group in found.groups())


def _line(group: Group, total: int) -> str:
    finding = group.finding
    lines = [f"{finding.status!s:8}  {group.check:9}  {_nodes(group.nodes, total)}: {finding.detail}"]
    if finding.next_step:
        lines.append(f"{'':{_INDENT}}next: {finding.next_step}")
    return "\n".join(lines)


def _nodes(names: Sequence[str], total: int) -> str:
    if len(names) == total:
        return f"all {total} nodes" if total > 1 else names[0]
    shown = ", ".join(names[:_NAMED_NODES])
    left = len(names) - _NAMED_NODES
    return f"{shown} and {left} more" if left > 0 else shown
