# SPDX-License-Identifier: Apache-2.0
"""Which failures are met by a restart, how often, and how long is waited before."""

from __future__ import annotations

import dataclasses
from typing import Any, List, Optional, Union

import pytest

from telechat_runtime.errors import PreflightError, SpecError, TelechatError, UnreachableError
from telechat_runtime.fanout import FleetError
from telechat_runtime.finetune.restart import RestartPolicy, run_with_restarts
from telechat_runtime.interrupt import Interrupt
from telechat_runtime.job.events import Event, NodeOutcome, Notice
from telechat_runtime.job.failure import Failure, FailureKind
from telechat_runtime.job.options import JobOptions
from telechat_runtime.job.report import Report
from telechat_runtime.job.state import JobState
from telechat_runtime.plan.plan import JobPlan, plan_job
from telechat_runtime.plan.program import WORK, Entry, Program
from tests.support.clusters import node_probe, two_nodes

KILLED = "rank 3 was killed by SIGKILL"
FAILURES = {
    KILLED: Failure(FailureKind.WORKER_SIGNAL, rank=3, signal="SIGKILL"),
    "a node was lost": Failure(FailureKind.NODE_LOST),
    "an unknown error": Failure(FailureKind.WORKER_EXIT, rank=3, error="ValueError: no such layer"),
    "a full disk": Failure(FailureKind.DISK_FULL, rank=3, signal="SIGKILL"),
    "a full disk in the log": Failure(FailureKind.WORKER_EXIT, error="OSError: [Errno 28] No space left on device"),
    "a wrong rank table": Failure(FailureKind.WORKER_EXIT, rank=0, error="RuntimeError: EI0004"),
}


def a_plan(max_restarts: int, *, job_id: str = "job-0", restarts: int = 0) -> JobPlan:
    plan = plan_job(
        program=Program(kind="finetune", own=Entry(words=(f"{WORK}/train.py",))),
        options=JobOptions(job_name="job", max_restarts=max_restarts),
        cluster=two_nodes(),
        probes={"node0": node_probe(), "node1": node_probe()},
        job_id=job_id,
        owner="ada@bastion",
    )
    return dataclasses.replace(plan, restarts=restarts)


def a_report(plan: JobPlan, reason: Optional[str], **changes: Any) -> Report:
    state = JobState.SUCCEEDED if reason is None else JobState.FAILED
    values = {
        "job_id": plan.job_id,
        "folder": "/jobs",
        "seconds": 1.0,
        "interrupted": False,
        "nodes": (
            NodeOutcome(
                node="node1", node_rank=1, state=state, reason=reason or "", failure=FAILURES.get(reason or "")
            ),
        ),
        "first_failure": None if reason is None else "node1",
        "first_step": None,
        "last_step": None,
        "speed": None,
    }
    return Report(**{**values, **changes})


class Week:
    """A training whose jobs end as told: a reason, or None for success; and plans that may not be there at once."""

    def __init__(self, *ends: Optional[str], plans: Optional[List[Union[TelechatError, str]]] = None) -> None:
        self.ends = list(ends)
        self.plans = plans or []
        self.ran: List[str] = []
        self.told: List[str] = []
        self.interrupt = Interrupt()
        self.waited: List[float] = []

    def run(self, plan: JobPlan) -> Report:
        self.ran.append(plan.job_id)
        return a_report(plan, self.ends.pop(0))

    def plan_next(self, _job_id: str, number: int) -> JobPlan:
        if self.plans:
            error = self.plans.pop(0)
            if isinstance(error, TelechatError):
                raise error
        return a_plan(9, job_id=f"job-{number}", restarts=number)

    def tell(self, event: Event) -> None:
        assert isinstance(event, Notice)
        self.told.append(event.text)

    def keep(self, plan: JobPlan, monkeypatch: pytest.MonkeyPatch) -> Report:
        monkeypatch.setattr(Interrupt, "wait", lambda _, seconds: self.waited.append(seconds))
        policy = RestartPolicy(run=self.run, plan_next=self.plan_next, tell=self.tell, interrupt=self.interrupt)
        return run_with_restarts(plan, policy)


def test_transient_failures_are_restarted_with_longer_and_longer_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    week = Week(*[KILLED] * 7, None)
    report = week.keep(a_plan(9), monkeypatch)
    assert week.ran == [f"job-{number}" for number in range(8)]
    assert week.waited == [10, 20, 40, 80, 160, 300, 300]
    assert report.state is JobState.SUCCEEDED
    assert [attempt.job_id for attempt in report.attempts] == week.ran[:-1]
    assert report.attempts[0].reason == f"node1: {KILLED}"
    assert week.told[0] == f"restart 1 of 9 in 10 s, after: node1: {KILLED}"
    assert report.as_text().splitlines()[0] == f"job job-0: failed at step 0, begun again: node1: {KILLED}"


def test_not_more_often_than_allowed_those_before_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    week = Week(KILLED, KILLED, KILLED)
    plan = dataclasses.replace(a_plan(8, restarts=7))
    report = week.keep(plan, monkeypatch)
    assert week.ran == ["job-0", "job-8", "job-9"]
    assert report.state is JobState.FAILED


@pytest.mark.parametrize(
    "reason", ["an unknown error", "a full disk", "a full disk in the log", "a wrong rank table", None]
)
def test_other_failures_end_it_at_once(reason: Optional[str], monkeypatch: pytest.MonkeyPatch) -> None:
    week = Week(reason)
    week.keep(a_plan(9), monkeypatch)
    assert week.ran == ["job-0"]
    assert week.told == []


def test_a_job_that_was_stopped_or_interrupted_stays_so(monkeypatch: pytest.MonkeyPatch) -> None:
    week = Week()
    for changes in (
        {"interrupted": True},
        {"nodes": (NodeOutcome("node1", 1, JobState.STOPPED, failure=FAILURES[KILLED]),)},
    ):
        week.run = lambda plan, changes=changes: a_report(plan, KILLED, **changes)  # type: ignore[method-assign,misc]
        assert week.keep(a_plan(9), monkeypatch).attempts == ()


def test_nodes_that_are_not_back_yet_are_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    down: TelechatError = UnreachableError("node1: can't be reached")
    busy = FleetError({}, {"node0": PreflightError("node0: busy"), "node1": down})
    week = Week(KILLED, None, plans=[down, down, busy])
    assert week.keep(a_plan(9), monkeypatch).state is JobState.SUCCEEDED
    assert week.waited == [10, 10, 10, 10]
    assert week.told[1:] == ["not yet: node1: can't be reached", "not yet: node0: busy\nnode1: can't be reached"]


def test_a_restart_that_can_never_be_is_told_with_its_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    week = Week(KILLED, plans=[SpecError("its model is cut over the workers")])
    report = week.keep(a_plan(9), monkeypatch)
    assert (report.state, week.ran) == (JobState.FAILED, ["job-0"])
    assert week.told[-1] == "no restart: its model is cut over the workers"


def test_patience_with_nodes_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    week = Week(KILLED, plans=[UnreachableError("node1: can't be reached")] * 3)
    monkeypatch.setattr(Interrupt, "wait", lambda *_: None)
    policy = RestartPolicy(
        run=week.run, plan_next=week.plan_next, tell=week.tell, interrupt=week.interrupt, nodes_seconds=0
    )
    assert run_with_restarts(a_plan(9), policy).state is JobState.FAILED
    assert week.told[-1] == "no restart: node1: can't be reached"


def test_ctrl_c_while_waiting_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    week = Week(KILLED)
    monkeypatch.setattr(Interrupt, "wait", lambda interrupt, _seconds: interrupt.request())
    policy = RestartPolicy(run=week.run, plan_next=week.plan_next, tell=week.tell, interrupt=week.interrupt)
    assert run_with_restarts(a_plan(9), policy).attempts == ()
    assert week.ran == ["job-0"]
