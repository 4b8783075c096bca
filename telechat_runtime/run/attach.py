# SPDX-License-Identifier: Apache-2.0
"""Follows a job that was started before, from any control machine with the inventory; it never stops one."""

from __future__ import annotations

import calendar
import time
from typing import List, Mapping, Optional, Tuple

from telechat_runtime.cluster.topology import Cluster, Node
from telechat_runtime.errors import InterruptedByUserError, SpecError, UnreachableError
from telechat_runtime.interrupt import Interrupt
from telechat_runtime.job.events import Observer
from telechat_runtime.job.paths import JobPaths
from telechat_runtime.job.report import Report
from telechat_runtime.job.state import JobState
from telechat_runtime.plan.plan import JobPlan, NodePlan
from telechat_runtime.remote.answers.jobs import JobPart
from telechat_runtime.remote.answers.record import RecordedJob
from telechat_runtime.remote.client import NodeClient
from telechat_runtime.run.monitor import JobView
from telechat_runtime.run.record import job_record
from telechat_runtime.run.status import FleetJob, FleetStatus

_TAIL_LINES = 20
_TIME_FORMAT = "%Y-%m-%dT%H:%M:%SZ"


def attach(
    job: FleetJob,
    plan: JobPlan,
    clients: Mapping[str, NodeClient],
    *,
    observer: Observer,
    interrupt: Interrupt,
    all_ranks: bool = False,
    heartbeat_timeout: Optional[float] = None,
) -> Report:
    """Follow the job, from the last lines of its logs on, to its end on all nodes, and return how it went.

    Raises InterruptedByUserError on Ctrl-C: the job runs on.
    """
    view = JobView(plan, clients, observer)
    silence = plan.options.heartbeat_timeout if heartbeat_timeout is None else heartbeat_timeout
    ended = _ended_parts(job)
    for name, part in ended:
        view.take_end(name, part)
    watch = view.watch(all_ranks=all_ranks, silence=silence, tail=_TAIL_LINES)
    view.follow(watch, interrupt, to_first_failure=False)
    if view.running():
        raise InterruptedByUserError(
            f"job {job.job_id} runs on; nobody watches it any more",
            next_step=f"`telechat-run stop {job.job_id}` ends it",
        )
    if len(ended) == len(plan.nodes):
        view.add_last_steps()
    view.add_last_lines()
    return view.report(_seconds(job), interrupted=False)


def recorded_plan(
    job: FleetJob, status: FleetStatus, cluster: Cluster, clients: Mapping[str, NodeClient], interrupt: Interrupt
) -> JobPlan:
    """Return the plan of a job as its nodes recorded it, without files and environment: enough to watch it.

    Raises UnreachableError when a node of the job could not be asked, SpecError when one is not in the inventory,
    or has a part of the job that the record does not name.
    """
    status.check_faults()
    record = job_record(job.job_id, clients, interrupt)
    first = record.first
    names = [identity.name for identity in first.nodes]
    silent = [name for name in names if name in status.errors]
    if silent:
        raise UnreachableError("\n".join(status.errors[name].message for name in silent))
    gone = [name for name in names if name not in record.nodes]
    if gone:
        raise SpecError(
            f"{', '.join(gone)} of job {job.job_id} is not in the inventory, or has no record of it any more",
            next_step="use the inventory, and no --limit, that the job was started with",
        )
    unnamed = [name for name in job.nodes if name not in names]
    if unnamed:
        raise SpecError(
            f"{', '.join(unnamed)} has a part of job {job.job_id}, but the job's record names {', '.join(names)} only",
            next_step="`telechat-run status` shows the parts, `telechat-run logs` their logs",
        )
    return JobPlan(
        job_id=job.job_id,
        owner=first.owner,
        kind=first.kind,
        workers_per_node=first.local_worker_num,
        master_addr=first.master_addr,
        master_port=first.master_port,
        options=record.options,
        restarts=first.restarts,
        metric_rank=first.metric_rank,
        config_diff=first.config_diff,
        nodes=tuple(
            _node_plan(node, rank, record.records[node.name], job.job_id)
            for rank, node in enumerate(cluster.reordered(names).nodes)
        ),
    )


def _ended_parts(job: FleetJob) -> List[Tuple[str, JobPart]]:
    """Return the nodes' parts that have ended, the first to fail first: a failed one has no cause on another node."""
    ended = [(name, part) for name, part in job.nodes.items() if part.state.is_terminal]
    return sorted(ended, key=lambda named: (named[1].state is not JobState.FAILED, named[1].ended or "~"))


def _seconds(job: FleetJob) -> float:
    """Return how long the job has taken, by its nodes' clocks where it has ended."""
    ends = [part.ended for part in job.nodes.values() if part.ended]
    is_over = len(ends) == len(job.nodes)
    end = _unix_time(max(ends)) if is_over else time.time()
    began = _unix_time(job.started)
    return max(0.0, end - began) if end is not None and began is not None else 0.0


def _unix_time(text: str) -> Optional[float]:
    """Return a node's time in seconds since 1970; None for a job whose state can't be read there."""
    try:
        return float(calendar.timegm(time.strptime(text, _TIME_FORMAT)))
    except ValueError:
        return None


def _node_plan(node: Node, node_rank: int, record: RecordedJob, job_id: str) -> NodePlan:
    return NodePlan(
        node=node,
        node_rank=node_rank,
        first_rank=record.first_rank,
        paths=JobPaths(record.job_root, job_id),
        argv=record.argv,
        env=(),
        path=record.path,
        files=(),
        output=record.output,
    )
