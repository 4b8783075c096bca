# SPDX-License-Identifier: Apache-2.0
"""`telechat-run check`."""

from __future__ import annotations

import json
from typing import Dict, List

import click

from telechat_runtime.ascend.run_check import Verdict
from telechat_runtime.cli.options import interruptible, inventory_options, json_option, out_of_service_option
from telechat_runtime.cluster.inventory import InventoryOptions, load_cluster
from telechat_runtime.fleet.selftest import check_result, parse_verdict, plan_check, wanted_checks
from telechat_runtime.job.events import Event, LogLine, Notice
from telechat_runtime.job.options import JobOptions
from telechat_runtime.remote.connections import open_fleet
from telechat_runtime.run.launch import launch

_DEFAULT_SECONDS = 600


@click.command(short_help="Run MindSpore's and MindFormers' own checks on all nodes.")
@inventory_options
@click.option(
    "--timeout",
    "seconds",
    type=click.IntRange(min=1),
    default=_DEFAULT_SECONDS,
    show_default=True,
    help="Seconds that each of the two checks may take.",
)
@out_of_service_option
@click.option("--dry-run", is_flag=True, help="Show the exact command of each node, and start nothing.")
@json_option
def check(*, inventory: InventoryOptions, seconds: int, out_of_service: bool, dry_run: bool, as_json: bool) -> None:
    """Run mindspore.run_check() and mindformers.run_check() where jobs run, on all nodes at once; judge what they say.

    It is a job on the first NPU of each node: it holds the nodes meanwhile, and `telechat-run show` knows it. On CPU
    MindFormers is not checked: its check needs an NPU.

    Ends with 0 when all passed on all nodes, else with 1.
    """
    found: Dict[str, List[Verdict]] = {}

    def observe(event: Event) -> None:
        if isinstance(event, Notice):
            click.echo(event.text, err=True)
        verdict = parse_verdict(event) if isinstance(event, LogLine) else None
        if verdict is not None and isinstance(event, LogLine):
            found.setdefault(event.node, []).append(verdict)

    with interruptible() as interrupt:
        cluster = load_cluster(inventory, interrupt)
        with open_fleet(cluster) as clients:
            options = JobOptions(job_name="check", out_of_service=out_of_service)
            plan = plan_check(options, seconds, cluster, clients, interrupt)
            if dry_run:
                click.echo(json.dumps(plan.as_dict(), indent=2) if as_json else plan.as_text())
                return
            report = launch(plan, clients, observer=observe, interrupt=interrupt, all_ranks=True)
    result = check_result(report, found, wanted_checks(cluster.device_target))
    click.echo(json.dumps(result.as_dict(), indent=2) if as_json else result.as_text())
    click.get_current_context().exit(result.exit_code)
