# SPDX-License-Identifier: Apache-2.0
"""The cause of an end as a value, and what 0.1 wrote in its place.

`ends_of_0_1.json` holds what the code of 0.1 has written of jobs that it ran, and the known error that it saw in it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Dict, List

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telechat_runtime.job.events import NodeOutcome
from telechat_runtime.job.failure import Failure, FailureKind, failure_of
from telechat_runtime.job.known_errors import known_error
from telechat_runtime.job.report import Report
from telechat_runtime.job.state import JobState

ENDS_OF_0_1: List[Dict[str, Any]] = json.loads(Path(__file__).with_name("ends_of_0_1.json").read_text(encoding="utf-8"))
MAYBE_TEXT = st.none() | st.text()
MAYBE_NUMBER = st.none() | st.integers(-64, 10_000)
FAILURES = st.builds(
    Failure,
    kind=st.sampled_from(FailureKind),
    rank=MAYBE_NUMBER,
    signal=MAYBE_TEXT,
    exit_code=MAYBE_NUMBER,
    node=MAYBE_TEXT,
    error=st.text(),
)


@given(FAILURES)
def test_a_failure_survives_the_wire_whatever_the_sentence_beside_it(failure: Failure) -> None:
    event = json.loads(json.dumps({"reason": "rank 3 was killed by SIGKILL", "failure": failure.as_dict()}))
    assert failure_of(event) == failure


def test_a_success_has_none() -> None:
    assert failure_of({"state": "SUCCEEDED", "reason": "", "failure": None}) is None
    assert failure_of({"state": "SUCCEEDED", "reason": ""}) is None


def test_a_kind_of_a_newer_version_is_unknown_and_no_error() -> None:
    assert failure_of({"failure": {"kind": "meteor", "rank": 3}}) == Failure(FailureKind.UNKNOWN, rank=3)


@pytest.mark.parametrize("found", ["hang", [], {"kind": "hang", "rank": "3"}, {"kind": "hang", "error": 1}])
def test_another_shape_is_refused(found: object) -> None:
    with pytest.raises(ValueError, match="failure"):
        failure_of({"failure": found})


KINDS_OF_0_1 = {
    "a worker's exception": Failure(FailureKind.WORKER_EXIT, rank=1, error="ValueError: no such layer"),
    "an exit code and a last line": Failure(
        FailureKind.WORKER_EXIT, rank=1, exit_code=3, error="config.yaml has no key model"
    ),
    "an empty log": Failure(FailureKind.WORKER_EXIT, rank=1, exit_code=7),
    "SIGKILL": Failure(FailureKind.WORKER_SIGNAL, rank=1, signal="SIGKILL"),
    "SIGTERM": Failure(FailureKind.WORKER_SIGNAL, rank=1, signal="SIGTERM", error="OSError: late"),
    "SIGSEGV": Failure(FailureKind.WORKER_SIGNAL, rank=1, signal="SIGSEGV"),
    "the scheduler's exit code": Failure(FailureKind.SCHEDULER_EXIT, exit_code=3),
    "the scheduler killed": Failure(FailureKind.SCHEDULER_SIGNAL, signal="SIGKILL"),
    "stopped by a user": Failure(FailureKind.STOPPED_BY_USER),
    "supervisor killed": Failure(FailureKind.SUPERVISOR_LOST),
    "supervisor and guard killed": Failure(FailureKind.SUPERVISOR_LOST),
    "stopped after its supervisor was gone": Failure(FailureKind.SUPERVISOR_LOST),
    "hang": Failure(FailureKind.HANG),
    "another node failed": Failure(FailureKind.PEER, node="node0"),
    "a peer's line": Failure(FailureKind.WORKER_SIGNAL, signal="SIGTERM"),
    "a node that has not joined": Failure(FailureKind.NODE_LOST),
    "a silent node": Failure(FailureKind.NODE_LOST),
    "msrun is missing": Failure(FailureKind.START_FAILED, error="No such file or directory"),
    "msrun's exit code": Failure(FailureKind.LAUNCHER_EXIT, exit_code=1),
    "msrun's last line": Failure(FailureKind.LAUNCHER_EXIT, exit_code=2, error="usage: msrun"),
    "a worker that nobody saw": Failure(FailureKind.WORKER_SIGNAL, signal="SIGKILL"),
    "a full disk": Failure(FailureKind.DISK_FULL, rank=9, signal="SIGKILL", error="KeyError: b"),
}


@pytest.mark.parametrize("name", KINDS_OF_0_1)
def test_the_kind_of_an_end_that_0_1_wrote(name: str) -> None:
    (document,) = (end["document"] for end in ENDS_OF_0_1 if end["name"] == name)
    assert failure_of(document) == KINDS_OF_0_1[name]


@pytest.mark.parametrize("end", ENDS_OF_0_1, ids=lambda end: str(end["name"]))
def test_a_job_that_0_1_started_is_restarted_and_blamed_as_before(end: Dict[str, Any]) -> None:
    document, decided = end["document"], end["decided"]
    failure, state = failure_of(document), JobState(document["state"])
    outcome = NodeOutcome("node0", 0, state, reason=document["reason"], failure=failure)
    report = Report("job-1", "/jobs", 1.0, False, (outcome,), "node0", None, None, None)
    has_failed = state in (JobState.FAILED, JobState.LOST)
    assert report.is_transient == (decided["passes"] and has_failed)
    if has_failed:
        known = known_error(failure)
        assert (known.name if known else None) == decided["known_error"]
        assert bool(known and known.is_secondary) == decided["follows"]


def test_the_control_sides_own_sentences_of_0_1() -> None:
    lost = failure_of({"state": "LOST", "reason": "no sign of life for 15 s"})
    assert lost == Failure(FailureKind.NODE_LOST)
    without_it = {"state": "STOPPED", "reason": "node1 has given no sign of life for 15 s", "cause": "node1"}
    assert failure_of(without_it) == Failure(FailureKind.NODE_LOST, node="node1")
    nobody_knows = failure_of({"state": "FAILED", "reason": "something else: EI0002"})
    assert nobody_knows == Failure(FailureKind.UNKNOWN, error="something else: EI0002")
