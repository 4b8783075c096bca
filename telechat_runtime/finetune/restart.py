# SPDX-License-Identifier: Apache-2.0
"""Restarts a training whose job failed with a transient error, from its latest complete checkpoint.

Any other failure (a wrong yaml, a full disk, too little memory, an unknown error) ends it at once. Every restart is a
job of its own, with the nodes chosen anew where the first one chose them by --nodes.
"""

from __future__ import annotations

import dataclasses
import time
from dataclasses import dataclass
from typing import Callable, List, Optional, Union

from telechat_runtime.errors import PreflightError, TelechatError, UnreachableError
from telechat_runtime.fanout import FleetError
from telechat_runtime.interrupt import Interrupt
from telechat_runtime.job.events import Notice, Observer
from telechat_runtime.job.report import Attempt, Report
from telechat_runtime.plan.plan import JobPlan

_LONGEST_PAUSE_SECONDS = 300.0
# A server takes its time to boot, and longer where disks are checked.
NODES_SECONDS = 1800.0
_LOOK_AGAIN_SECONDS = 10.0


@dataclass(frozen=True)
class RestartPolicy:
    """How a failed training is restarted: what runs a job to its end, what plans the next one, how long to wait.

    `plan_next` gets the id of the job that failed, and the number of the restart. `nodes_seconds` is how long its nodes
    may take to be fit again.
    """

    run: Callable[[JobPlan], Report]
    plan_next: Callable[[str, int], JobPlan]
    tell: Observer
    interrupt: Interrupt
    nodes_seconds: float = NODES_SECONDS


def run_with_restarts(plan: JobPlan, policy: RestartPolicy) -> Report:
    """Run a job and restart it after transient failures, at most --max-restarts times; return the last report."""
    attempts: List[Attempt] = []
    report = policy.run(plan)
    pause = min(float(plan.options.restart_pause), _LONGEST_PAUSE_SECONDS)
    while report.is_transient and plan.restarts < plan.options.max_restarts and not policy.interrupt.requested:
        number = plan.restarts + 1
        why = report.as_attempt().reason
        policy.tell(Notice(f"restart {number} of {plan.options.max_restarts} in {pause:g} s, after: {why}"))
        policy.interrupt.wait(pause)
        following = _plan_next(plan.job_id, number, policy)
        if isinstance(following, TelechatError):
            policy.tell(Notice(f"no restart: {following}"))
            break
        if following is None:
            break
        attempts.append(report.as_attempt())
        plan = following
        report = policy.run(plan)
        pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
    return dataclasses.replace(report, attempts=tuple(attempts))


def _plan_next(job_id: str, number: int, policy: RestartPolicy) -> Union[JobPlan, TelechatError, None]:
    """Return the plan of the restart, why there can be none, or None after Ctrl-C.

    Nodes that are not reachable or not free yet are asked again for a while: a server that went down comes back.
    """
    deadline = time.monotonic() + policy.nodes_seconds
    told: Optional[str] = None
    while not policy.interrupt.requested:
        try:
            return policy.plan_next(job_id, number)
        except TelechatError as error:
            if not _may_come_right(error) or time.monotonic() >= deadline:
                return error
            if error.message != told:
                policy.tell(Notice(f"not yet: {error.message}"))
                told = error.message
        policy.interrupt.wait(_LOOK_AGAIN_SECONDS)
    return None


def _may_come_right(error: TelechatError) -> bool:
    found = error.errors.values() if isinstance(error, FleetError) else (error,)
    return all(isinstance(each, (UnreachableError, PreflightError)) for each in found)
