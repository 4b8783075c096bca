# SPDX-License-Identifier: Apache-2.0
"""Plans a finetune that resumes another one: the latest complete checkpoint, a file of it for each rank, the plan.

Each node gets links to the files of its own ranks, under names that are the same whatever the job before was called.
So nothing has to be shared for a resumption on the same nodes, which MindFormers by itself asks for.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Callable, Mapping, Optional

from telechat_runtime.cluster.topology import Cluster
from telechat_runtime.errors import PreflightError, SpecError, TelechatError
from telechat_runtime.finetune.latest_checkpoint import Resume, check_world_size
from telechat_runtime.finetune.plan import plan_finetune
from telechat_runtime.finetune.saved_training import HOW_OFTEN, RecordedTraining, latest_checkpoint, recorded_training
from telechat_runtime.finetune.spec import KIND, FinetuneSpec
from telechat_runtime.interrupt import Interrupt
from telechat_runtime.job.identity import new_job_id
from telechat_runtime.job.options import JobOptions
from telechat_runtime.plan.plan import JobPlan
from telechat_runtime.remote.client import NodeClient
from telechat_runtime.run.placement import Placement, allowed, place
from telechat_runtime.run.status import FleetJob, FleetStatus
from telechat_runtime.training.shipped import ConfigSource

LATEST = "latest"


@dataclass(frozen=True)
class ResumeWishes:
    """What may differ from the job that is resumed: overrides of its yaml, options given again, other nodes.

    With `chooses_nodes` they are chosen anew, those of the job before others. With `or_begin_again` a job that has
    saved nothing yet begins as it began before; else that is an error.
    """

    spec: FinetuneSpec
    options: Callable[[JobOptions], JobOptions]
    chooses_nodes: bool = False
    or_begin_again: bool = False


def chosen_job(status: FleetStatus, wanted: str, owner: str) -> FleetJob:
    """Return the job of that id, or the owner's newest finetune for `latest`. Raises SpecError, or PreflightError."""
    status.check_faults()
    if wanted == LATEST:
        mine = [job for job in status.jobs() if job.owner == owner and job.kind == KIND]
        if not mine:
            raise SpecError(f"{owner} has no finetune on these nodes", next_step="`telechat-run jobs` lists all jobs")
        job = mine[0]
    else:
        job = status.job(wanted)
    running = [name for name, state in job.states.items() if not state.is_terminal]
    if running:
        raise PreflightError(
            f"job {job.job_id} still runs on {', '.join(running)}",
            next_step=f"`telechat-run attach {job.job_id}` watches it, `telechat-run stop {job.job_id}` ends it",
        )
    return job


def plan_resume(
    job_id: str,
    wishes: ResumeWishes,
    cluster: Cluster,
    clients: Mapping[str, NodeClient],
    interrupt: Interrupt,
) -> JobPlan:
    """Make the plan of a job that goes on with the training of `job_id`.

    It runs on the nodes of that job, or where others are wished on as many of the cluster; `clients` has a client for
    every node that may have been part of the job. Raises SpecError when the layout does not allow it, PreflightError
    when a step or a node is not fit for it.
    """
    past = recorded_training(job_id, clients, interrupt)
    options = wishes.options(past.options)
    options = replace(options, npus_per_node=options.npus_per_node or past.per_node)
    # Who asked for a number of nodes wants so many, whichever they are.
    anew = wishes.chooses_nodes or (wishes.or_begin_again and options.nodes is not None)
    placement = _chosen_nodes(past, options, cluster, clients, interrupt, anew=anew)
    cluster = placement.cluster
    resume = _find_step(past, cluster, clients, interrupt, options, or_begin_again=wishes.or_begin_again)
    new_id = new_job_id(options.job_name)
    source = ConfigSource(f"{job_id}/config.yaml", past.config.replace(job_id, new_id))
    plan = plan_finetune(
        wishes.spec, options, cluster, clients, source=source, interrupt=interrupt, resume=resume, job_id=new_id
    )
    return replace(
        plan, notes=(_told(job_id, resume), *(resume.notes if resume else ()), *placement.notes, *plan.notes)
    )


def plan_restart(
    job_id: str, number: int, cluster: Cluster, clients: Mapping[str, NodeClient], interrupt: Interrupt
) -> JobPlan:
    """Make the plan of a job that goes on with one that failed, as that was asked for; from nothing if need be.

    On its own nodes; where it was asked to run on some number of nodes, another one may take the place of an unfit one.
    """
    wishes = ResumeWishes(spec=FinetuneSpec(), options=lambda options: options, or_begin_again=True)
    return replace(plan_resume(job_id, wishes, cluster, clients, interrupt), restarts=number)


def _chosen_nodes(
    past: RecordedTraining,
    options: JobOptions,
    cluster: Cluster,
    clients: Mapping[str, NodeClient],
    interrupt: Interrupt,
    *,
    anew: bool,
) -> Placement:
    if anew:
        candidates = allowed(cluster, replace(options, nodes=None))
        count = options.nodes or min(len(past.nodes), len(candidates.nodes))
        return place(cluster, replace(options, nodes=count), clients, interrupt, first=past.nodes)
    known = {node.name for node in cluster.nodes}
    gone = [name for name in past.nodes if name not in known]
    if gone:
        raise SpecError(
            f"job {past.job_id} ran on {', '.join(past.nodes)}, and {', '.join(gone)} is not in the inventory",
            next_step="choose the nodes to go on with: --nodes, --exclude, --limit",
        )
    return Placement(cluster.reordered(past.nodes))


def _find_step(
    past: RecordedTraining,
    cluster: Cluster,
    clients: Mapping[str, NodeClient],
    interrupt: Interrupt,
    options: JobOptions,
    *,
    or_begin_again: bool,
) -> Optional[Resume]:
    """Return the step to go on from: of the job itself, or of the one that it had resumed; None to begin again."""
    job_id = past.job_id
    per_node = cluster.workers_per_node(options.npus_per_node)
    ranks = past.rank_placement([node.name for node in cluster.nodes], per_node)
    check_world_size(job_id, ranks)
    nothing: Optional[TelechatError] = None
    try:
        found = latest_checkpoint(past, ranks, clients, interrupt)
        if found is not None:
            return found
    except PreflightError as error:
        nothing = error
    before = past.record.first.resumes
    if before:
        older = recorded_training(before, clients, interrupt)
        # It can't begin again: what it began with were that one's files.
        return _find_step(older, cluster, clients, interrupt, options, or_begin_again=False)
    if or_begin_again:
        return None
    raise nothing or PreflightError(
        f"job {job_id} has saved no checkpoint to resume from (looked in {past.output}/checkpoint)",
        next_step=f"start it anew; {HOW_OFTEN}",
    )


def _told(job_id: str, resume: Optional[Resume]) -> str:
    if resume is None:
        return f"job {job_id} had saved nothing: it begins again"
    where = "" if resume.job_id == job_id else f", which {job_id} had resumed and saved nothing after"
    return f"goes on from step {resume.number} (epoch {resume.epoch}) of job {resume.job_id}{where}"
