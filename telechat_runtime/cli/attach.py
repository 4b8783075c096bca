# SPDX-License-Identifier: Apache-2.0
"""`telechat-run attach`."""

from __future__ import annotations

from typing import Optional

import click

from telechat_runtime.cli.job_options import all_ranks_option
from telechat_runtime.cli.options import interruptible, inventory_options, json_option
from telechat_runtime.cli.run_job import introduce, progress, show_report
from telechat_runtime.cluster.inventory import InventoryOptions, load_clusters
from telechat_runtime.finetune.restart import RestartPolicy, run_with_restarts
from telechat_runtime.finetune.resume import plan_restart
from telechat_runtime.job.identity import whoami
from telechat_runtime.job.report import Report
from telechat_runtime.plan.plan import JobPlan
from telechat_runtime.remote.connections import open_fleet
from telechat_runtime.run.attach import attach as follow
from telechat_runtime.run.attach import recorded_plan
from telechat_runtime.run.launch import start_detached
from telechat_runtime.run.status import choose_job, fleet_status


@click.command(short_help="Watch a job that runs already.")
@click.argument("job_id", required=False)
@inventory_options
@click.option(
    "--keep",
    "keeps",
    is_flag=True,
    help="Begin the job again when it fails, as its --max-restarts says; restarts are detached jobs too.",
)
@all_ranks_option
@json_option
def attach(*, job_id: Optional[str], inventory: InventoryOptions, keeps: bool, all_ranks: bool, as_json: bool) -> None:
    """Watch JOB_ID to its end as if it had been started here; without it, the only active job that is yours.

    Ends with the job's exit code, also for a job that has ended already. Ctrl-C ends the watch and not the job.
    """
    with interruptible() as interrupt:
        clusters = load_clusters(inventory, interrupt)
        with open_fleet(clusters.everyone) as clients, progress(as_json=as_json) as observer:

            def watch(plan: JobPlan) -> Report:
                job = fleet_status(clients, interrupt).job(plan.job_id)
                return follow(job, plan, clients, observer=observer, interrupt=interrupt, all_ranks=all_ranks)

            def restart(job_id: str, number: int) -> JobPlan:
                plan = plan_restart(job_id, number, clusters.limited, clients, interrupt)
                introduce(plan, as_json=as_json)
                start_detached(plan, clients, observer=observer, interrupt=interrupt)
                return plan

            status = fleet_status(clients, interrupt)
            plan = recorded_plan(choose_job(status, job_id, whoami()), status, clusters.everyone, clients, interrupt)
            if keeps:
                report = run_with_restarts(
                    plan, RestartPolicy(run=watch, plan_next=restart, tell=observer, interrupt=interrupt)
                )
            else:
                report = watch(plan)
    show_report(report, as_json=as_json)
    click.get_current_context().exit(report.exit_code)
