# SPDX-License-Identifier: Apache-2.0
"""`telechat-run stop`."""

from __future__ import annotations

import dataclasses
import json
from typing import Any, Dict, Optional

import click

from telechat_runtime.cli.options import exit_with, grace_option, interruptible, inventory_options, json_option
from telechat_runtime.cli.progress import PlainProgress
from telechat_runtime.cluster.inventory import InventoryOptions, load_cluster
from telechat_runtime.errors import UsageError
from telechat_runtime.finetune.checkpoint_stop import (
    DEFAULT_TIMEOUT_SECONDS,
    CheckpointStop,
    Stopping,
    stop_at_checkpoint,
)
from telechat_runtime.job.identity import whoami
from telechat_runtime.remote.connections import open_fleet
from telechat_runtime.run.status import StopResult, choose_job, fleet_status, stop_job

_LEFT_BEHIND = 1
_LOST = 1


@click.command(short_help="Stop a job on all nodes.")
@click.argument("job_id", required=False)
@inventory_options
@grace_option
@click.option("--force", is_flag=True, help="SIGKILL at once, as --grace 0.")
@click.option(
    "--at-checkpoint",
    is_flag=True,
    help="Wait until a finetune has saved a new complete checkpoint, and stop it then.",
)
@click.option(
    "--checkpoint-timeout",
    type=click.IntRange(min=0),
    default=DEFAULT_TIMEOUT_SECONDS,
    show_default=True,
    metavar="SECONDS",
    help="How long --at-checkpoint waits; then the job is not stopped (exit code 5). 0: it waits for no new one, and "
    "stops a job that has a complete one.",
)
@json_option
def stop(
    *,
    job_id: Optional[str],
    inventory: InventoryOptions,
    grace_seconds: int,
    force: bool,
    at_checkpoint: bool,
    checkpoint_timeout: int,
    as_json: bool,
) -> None:
    """Stop JOB_ID on all nodes; without it, the only active job that is yours.

    Ends with 1 when processes outlive it, which are named, and with 4 when a node could not be asked. Ctrl-C while
    --at-checkpoint waits stops nothing; it ends with 1 too when a save was torn and no checkpoint is whole any more.
    """
    _check(force=force, at_checkpoint=at_checkpoint)
    saved: Optional[CheckpointStop] = None
    with interruptible() as interrupt:
        cluster = load_cluster(inventory, interrupt)
        with open_fleet(cluster) as clients:
            status = fleet_status(clients, interrupt)
            job = choose_job(status, job_id, whoami())
            if at_checkpoint:
                tell = PlainProgress(lambda line: click.echo(line, err=as_json))
                stopping = Stopping(checkpoint_timeout, grace_seconds=grace_seconds, by=whoami(), tell=tell)
                saved = stop_at_checkpoint(job, clients, stopping, interrupt)
                result = saved.result
            else:
                grace_seconds = 0 if force else grace_seconds
                result = stop_job(
                    job.job_id, list(job.nodes), clients, grace_seconds=grace_seconds, by=whoami(), interrupt=interrupt
                )
    # A node whose answer can't be used may run the job too.
    result = dataclasses.replace(result, errors={**status.faults, **result.errors})
    if as_json:
        click.echo(json.dumps(_document(result, saved), indent=2))
    else:
        _show(result, saved)
    _exit(result, saved)


def _check(*, force: bool, at_checkpoint: bool) -> None:
    if force and at_checkpoint:
        raise UsageError(
            "--force and --at-checkpoint: one stops at once, the other waits for a checkpoint",
            next_step="give one of them; --grace 0 kills at once after the checkpoint",
        )
    source = click.get_current_context().get_parameter_source("checkpoint_timeout")
    if source is click.core.ParameterSource.COMMANDLINE and not at_checkpoint:
        raise UsageError("--checkpoint-timeout is for --at-checkpoint", next_step="give both, or none of them")


def _document(result: StopResult, saved: Optional[CheckpointStop]) -> Dict[str, Any]:
    document: Dict[str, Any] = {
        "job_id": result.job_id,
        "nodes": {name: dataclasses.asdict(answer) for name, answer in result.answers.items()},
        "errors": {name: str(error) for name, error in result.errors.items()},
    }
    return {**document, "checkpoint": saved.checkpoint} if saved else document


def _show(result: StopResult, saved: Optional[CheckpointStop]) -> None:
    for name, answer in result.answers.items():
        click.echo(f"{name}: {answer.state}, {len(answer.ended)} processes ended")
    if saved:
        click.echo(saved.as_text())


def _exit(result: StopResult, saved: Optional[CheckpointStop]) -> None:
    """End the command with the exit code of what went wrong, and say what did."""
    for name, pids in result.left:
        click.echo(f"telechat-run: error: {name}: still running: {', '.join(str(pid) for pid in pids)}", err=True)
    is_lost = saved is not None and saved.is_lost
    if is_lost:
        click.echo("telechat-run: error: the stop interrupted a save: no checkpoint is complete now", err=True)
    exit_with(result.errors)
    if result.left:
        click.get_current_context().exit(_LEFT_BEHIND)
    if is_lost:
        click.get_current_context().exit(_LOST)
