# SPDX-License-Identifier: Apache-2.0
"""`telechat-run replay`."""

from __future__ import annotations

import re

import click

from telechat_runtime.cli.job_options import Request, all_ranks_option, detach_option
from telechat_runtime.cli.options import inventory_options, json_option
from telechat_runtime.cli.run_job import Preparation, run_job
from telechat_runtime.cluster.inventory import InventoryOptions
from telechat_runtime.job.options import JOB_NAME, JobOptions
from telechat_runtime.plan.plan import JobPlan
from telechat_runtime.run.replay import plan_replay

_STAMP = re.compile(r"-\d{8}-\d{6}-[0-9a-f]{6}$")


@click.command(short_help="Run a job again, by its record.")
@click.argument("job_id")
@inventory_options
@all_ranks_option
@detach_option
@click.option("--dry-run", is_flag=True, help="Show the exact command of each node, and start nothing.")
@json_option
def replay(
    *, job_id: str, inventory: InventoryOptions, all_ranks: bool, detach: bool, dry_run: bool, as_json: bool
) -> None:
    """Run JOB_ID again: the same commands, environment and files on the same nodes, under a new job id.

    Refused when the nodes are not those it ran on. Says when dataset or checkpoint have changed since.
    """
    name = _STAMP.sub("", job_id)
    name = name if JOB_NAME.fullmatch(name) else "replay"
    request = Request(
        inventory=inventory,
        options=JobOptions(job_name=name),
        all_ranks=all_ranks,
        dry_run=dry_run,
        as_json=as_json,
        detach=detach,
    )

    def plan(at: Preparation) -> JobPlan:
        return plan_replay(job_id, name, at.cluster, at.clients, at.interrupt)

    run_job(request, plan)
