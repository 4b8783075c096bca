# SPDX-License-Identifier: Apache-2.0
"""Changing every sentence of ours changes no restart, no blame and no exit code."""

from __future__ import annotations

import dataclasses
from typing import Any, List, Optional, Tuple

from hypothesis import example, given, settings
from hypothesis import strategies as st

from telechat_runtime.job.failure import Failure, FailureKind
from telechat_runtime.job.known_errors import KNOWN_ERRORS
from telechat_runtime.job.options import JobOptions
from telechat_runtime.job.report import Report
from telechat_runtime.job.state import JobState
from telechat_runtime.plan.plan import JobPlan, plan_job
from telechat_runtime.plan.program import WORK, Entry, Program
from telechat_runtime.remote.watch import NodeLost
from telechat_runtime.run.monitor import JobView
from tests.support.clusters import node_probe, two_nodes
from tests.support.scripted_transport import event_of
from tests.support.scripted_transport import state as state_event

PLAN: JobPlan = plan_job(
    program=Program(kind="finetune", own=Entry(words=(f"{WORK}/train.py",))),
    options=JobOptions(job_name="finetune"),
    cluster=two_nodes(),
    probes={"node0": node_probe(), "node1": node_probe()},
    job_id="finetune-1",
    owner="ada@bastion",
)
OURS = (
    "",
    "hangs: no step for 700 s after step 5 of 9; usual are 3.0 s",
    "rank 3 was killed by SIGKILL",
    "rank 3 was killed by SIGTERM; the last error in its log: EI0002",
    "has given no sign of life for 15 s",
    "its supervisor was killed",
    "stopped on request of ada@bastion",
    "node1 failed: hangs: no step for 700 s",
    "the scheduler: RuntimeError: Address already in use",
    "rank 0 ended with exit code 1; No space left on device: /var/lib/telechat",
    "node1: the container 'telechat' is not running",
)
SENTENCES = st.sampled_from(OURS) | st.text()
ERRORS = st.sampled_from(["", "KeyError: a", "EI0002", "EI0004", "Address already in use", "No space left on device"])
FAILURES = st.builds(
    Failure,
    kind=st.sampled_from(FailureKind),
    rank=st.none() | st.integers(0, 15),
    signal=st.sampled_from([None, "SIGKILL", "SIGTERM", "SIGSEGV", "SIGHUP"]),
    exit_code=st.none() | st.integers(0, 255),
    node=st.sampled_from([None, "node0", "node1"]),
    error=ERRORS,
)
ENDS = st.sampled_from([JobState.SUCCEEDED, JobState.FAILED, JobState.STOPPED, JobState.LOST])
End = Tuple[str, JobState, Optional[Failure]]
KILLED = Failure(FailureKind.WORKER_SIGNAL, rank=9, signal="SIGKILL")


def decided(ends: List[End], sentences: List[str]) -> Tuple[Any, ...]:
    """Return what is decided of a job whose nodes end like that, with those sentences beside the values."""
    view = JobView(PLAN, {}, lambda _event: None)
    for (node, state, failure), sentence in zip(ends, sentences):
        if state is JobState.LOST:
            view.take(node, NodeLost(sentence, failure or Failure(FailureKind.NODE_LOST)))
            continue
        values = failure.as_dict() if failure else None
        cause = (failure.node if failure else None) or ""
        view.take(node, event_of({**state_event(str(state), 1, sentence), "failure": values, "cause": cause}))
    report: Report = view.report(1.0, interrupted=False)
    known = report.as_dict()["known_error"]
    return report.first_failure, report.state, report.exit_code, report.is_transient, known


@given(
    ends=st.permutations(["node0", "node1"]).flatmap(
        lambda names: st.tuples(*(st.tuples(st.just(name), ENDS, st.none() | FAILURES) for name in names)).map(list)
    ),
    sentences=st.tuples(SENTENCES, SENTENCES).map(list),
)
@example(
    ends=[("node0", JobState.FAILED, KILLED), ("node1", JobState.STOPPED, Failure(FailureKind.PEER, node="node0"))],
    sentences=["rank 9: EI0004", "No space left on device"],
)
@settings(max_examples=1000)
def test_no_decision_rests_on_a_sentence(ends: List[End], sentences: List[str]) -> None:
    assert decided(ends, sentences) == decided(ends, ["", ""])


def test_these_examples_reach_every_decision() -> None:
    def of(failure: Failure) -> Tuple[Any, ...]:
        return decided([("node1", JobState.FAILED, failure), ("node0", JobState.SUCCEEDED, None)], ["", ""])

    known = [
        of(Failure(kind, signal=signal, error=error))[4]
        for kind in FailureKind
        for signal in (None, "SIGKILL", "SIGTERM", "SIGSEGV")
        for error in ("", "EI0002", "EI0004")
    ]
    names = {each["name"] for each in known if each}
    ours = {error.name for error in KNOWN_ERRORS if error.kinds or error.signals}
    assert ours < names
    assert {of(KILLED)[3], of(dataclasses.replace(KILLED, error="EI0004"))[3]} == {True, False}
