# SPDX-License-Identifier: Apache-2.0
"""`telechat-run sweep`."""

from __future__ import annotations

import json
from typing import List, Tuple

import click

from telechat_runtime.cli.options import exit_with, grace_option, interruptible, inventory_options, json_option
from telechat_runtime.cli.table import table_text
from telechat_runtime.cluster.inventory import InventoryOptions, load_cluster
from telechat_runtime.errors import UsageError
from telechat_runtime.fleet.sweep import SweepResult, SweepWishes
from telechat_runtime.fleet.sweep import sweep as sweep_nodes
from telechat_runtime.job.identity import whoami
from telechat_runtime.remote.answers.jobs import SweepFinding
from telechat_runtime.remote.connections import open_fleet

_HEADER = ["NODE", "WHAT", "JOB", "DETAIL", "DONE"]


@click.command(short_help="Find and remove what dead jobs have left.")
@click.argument("job_ids", nargs=-1)
@inventory_options
@click.option("--yes", is_flag=True, help="Remove what is a job's. Without it nothing is changed.")
@click.option(
    "--reset-chips", is_flag=True, help="With --yes: reset NPUs whose memory is held by no process, on free nodes."
)
@grace_option
@json_option
def sweep(
    *,
    job_ids: Tuple[str, ...],
    inventory: InventoryOptions,
    yes: bool,
    reset_chips: bool,
    grace_seconds: int,
    as_json: bool,
) -> None:
    """Find what dead jobs have left on the nodes, or only those of JOB_IDS; with --yes remove it.

    Processes in and outside of the container, leases and states that nobody answers for, the scheduler's port, NPU
    memory of nobody. What can't be proved to be a job's is shown and left alone. Ends with 0 when nothing is left,
    with 1 when something is, and with 4 when a node could not be asked.
    """
    if reset_chips and not yes:
        raise UsageError("--reset-chips changes something: it needs --yes")
    wishes = SweepWishes(clean=yes, reset_chips=reset_chips, jobs=job_ids, grace_seconds=grace_seconds)
    with interruptible() as interrupt:
        cluster = load_cluster(inventory, interrupt)
        with open_fleet(cluster) as clients:
            result = sweep_nodes(cluster, clients, wishes, by=whoami(), interrupt=interrupt)
    click.echo(json.dumps(result.as_dict(), indent=2) if as_json else _as_text(result))
    exit_with(result.errors)
    click.get_current_context().exit(result.exit_code)


def _as_text(result: SweepResult) -> str:
    """Render one line for each finding."""
    rows = [_row(name, finding) for name, found in result.findings.items() for finding in found]
    return table_text(_HEADER, rows) if rows else f"nothing is left of dead jobs on {', '.join(result.findings)}"


def _row(name: str, finding: SweepFinding) -> List[str]:
    outcome = finding.done or finding.why or "left as it is; --yes cleans it"
    return [name, finding.kind, finding.job_id, finding.detail, outcome]
