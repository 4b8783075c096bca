# SPDX-License-Identifier: Apache-2.0
"""`telechat-run finetune --resume JOB`: what is taken from that job, and what may be given again."""

from __future__ import annotations

import dataclasses
from typing import Any, List, Mapping

import click

from telechat_runtime.cli.job_options import Request
from telechat_runtime.cli.run_job import Preparation, run_job
from telechat_runtime.errors import UsageError
from telechat_runtime.finetune.resume import ResumeWishes, chosen_job, plan_restart, plan_resume
from telechat_runtime.finetune.spec import FinetuneSpec
from telechat_runtime.job.identity import whoami
from telechat_runtime.job.options import JobOptions
from telechat_runtime.plan.plan import JobPlan
from telechat_runtime.run.status import fleet_status

# What of a finetune's own options makes sense for one that goes on.
_AGAIN = ("overrides", "dataset", "epochs", "batch_size", "learning_rate")
_OPTIONS = tuple(field.name for field in dataclasses.fields(JobOptions))
_ALWAYS = ("resumed", "detach", "all_ranks", "dry_run", "as_json")
_INVENTORY = ("sources", "group", "limit", "vault_ids", "vault_password_files", "ask_vault_password")


def resume_job(request: Request, wanted: str, wishes: Mapping[str, Any]) -> None:
    """Go on with a job by its record; end the command with the report's exit code.

    Raises UsageError for an option that would make another training of it.
    """
    given = _given()
    names = {parameter.name: parameter.opts[-1] for parameter in click.get_current_context().command.params}
    wrong = [names[name] for name in given if name not in (*_AGAIN, *_OPTIONS, *_ALWAYS, *_INVENTORY)]
    if wrong:
        raise UsageError(
            f"{', '.join(wrong)}: --resume takes this from the job that it goes on with",
            next_step="leave it out, or start a job of its own with --config or --model",
        )
    spec = FinetuneSpec(**{name: wishes[name] for name in _AGAIN if name in given})

    def options(recorded: JobOptions) -> JobOptions:
        again = {name: getattr(request.options, name) for name in given if name in _OPTIONS}
        if "env" in again:
            again["env"] = tuple({**dict(recorded.env), **dict(again["env"])}.items())
        return dataclasses.replace(recorded, **again)

    is_moved = bool(request.inventory.limit) or any(name in given for name in ("nodes", "exclude"))
    resume_wishes = ResumeWishes(spec=spec, options=options, chooses_nodes=is_moved)

    def plan(at: Preparation) -> JobPlan:
        job = chosen_job(fleet_status(at.clients, at.interrupt), wanted, whoami())
        return plan_resume(job.job_id, resume_wishes, at.clusters.limited, at.clients, at.interrupt)

    run_job(request, plan, places_itself=True, go_on=go_on)


def go_on(at: Preparation, job_id: str, number: int) -> JobPlan:
    """Plan the job that takes up the training of one that failed, as that one was asked for."""
    return plan_restart(job_id, number, at.clusters.limited, at.clients, at.interrupt)


def _given() -> List[str]:
    """Return the parameters of the command line itself: what the environment sets was not said for this job."""
    context = click.get_current_context()
    return [
        name for name in context.params if context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE
    ]
