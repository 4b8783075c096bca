# SPDX-License-Identifier: Apache-2.0
"""`telechat-run attach`."""

from __future__ import annotations

from typing import Optional

import click

from telechat_runtime.attach import attach as follow
from telechat_runtime.attach import recorded_plan
from telechat_runtime.cli.job_options import all_ranks_option
from telechat_runtime.cli.options import interruptible, inventory_options, json_option
from telechat_runtime.cli.run_job import progress, show_report
from telechat_runtime.fleet import open_fleet
from telechat_runtime.fleet_status import choose_job, fleet_status
from telechat_runtime.inventory import InventoryOptions, load_cluster
from telechat_runtime.prepare import whoami


@click.command(short_help="Watch a job that runs already.")
@click.argument("job_id", required=False)
@inventory_options
@all_ranks_option
@json_option
def attach(*, job_id: Optional[str], inventory: InventoryOptions, all_ranks: bool, as_json: bool) -> None:
    """Watch JOB_ID to its end as if it had been started here; without it, the only active job that is yours.

    Ends with the job's exit code, also for a job that has ended already. Ctrl-C ends the watch and not the job.
    """
    with interruptible() as interrupt:
        cluster = load_cluster(inventory, interrupt)
        with open_fleet(cluster) as clients:
            status = fleet_status(clients, interrupt)
            job = choose_job(status, job_id, whoami())
            plan = recorded_plan(job, status, cluster, clients, interrupt)
            with progress(as_json=as_json) as observer:
                report = follow(job, plan, clients, observer=observer, interrupt=interrupt, all_ranks=all_ranks)
    show_report(report, as_json=as_json)
    click.get_current_context().exit(report.exit_code)
