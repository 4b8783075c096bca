# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from typing import Any

import pytest

from telechat_runtime.job.events import NodeOutcome
from telechat_runtime.job.failure import Failure, FailureKind
from telechat_runtime.job.report import Report, duration
from telechat_runtime.job.state import JobState
from telechat_runtime.job.training_log import Speed, Step


def report(*states: JobState, **changes: Any) -> Report:
    values: dict[str, Any] = {
        "job_id": "finetune-1",
        "folder": "/var/lib/telechat/jobs/finetune-1",
        "seconds": 75.4,
        "interrupted": False,
        "nodes": tuple(NodeOutcome(node=f"node{i}", node_rank=i, state=state) for i, state in enumerate(states)),
        "first_failure": None,
        "first_step": Step(1, 1, 1, 10, 7.5, 90, 1e-3),
        "last_step": Step(1, 1, 10, 10, 3.25, 90, 1e-4),
        "speed": Speed(0.25, "0:00:00"),
    }
    return Report(**{**values, **changes})


def test_success_as_text() -> None:
    assert report(JobState.SUCCEEDED, JobState.SUCCEEDED).as_text().splitlines() == [
        "job finetune-1: SUCCEEDED after 1 min 15 s",
        "  loss      7.5 (step 1) -> 3.25 (step 10 of 10)",
        "  speed     0.25 samples/s per NPU",
        "  node0     SUCCEEDED",
        "  node1     SUCCEEDED",
        "  folder    /var/lib/telechat/jobs/finetune-1 (on each node)",
    ]


def test_failure_as_text() -> None:
    nodes = (
        NodeOutcome(node="node0", node_rank=0, state=JobState.STOPPED, left=(7, 8)),
        NodeOutcome(
            node="node1", node_rank=1, state=JobState.FAILED, exit_code=1, reason="rank 9: boom", last_lines=("a", "b")
        ),
    )
    text = report(nodes=nodes, first_failure="node1", first_step=None, last_step=None, speed=None).as_text()
    assert text.splitlines() == [
        "job finetune-1: FAILED after 1 min 15 s",
        "  node0     STOPPED, still running: 7, 8",
        "  node1     FAILED (exit code 1)",
        "  first to fail: node1: rank 9: boom",
        "    | a",
        "    | b",
        "  folder    /var/lib/telechat/jobs/finetune-1 (on each node)",
    ]


def test_the_first_failures_known_error_is_explained() -> None:
    lines = ("Failed to call bind for socket. Errno: 98, Address already in use", "shutdown")
    nodes = (
        NodeOutcome(
            node="node0",
            node_rank=0,
            state=JobState.FAILED,
            failure=Failure(FailureKind.SCHEDULER_EXIT),
            last_lines=lines,
        ),
        NodeOutcome(node="node1", node_rank=1, state=JobState.FAILED, failure=Failure(FailureKind.HANG)),
    )
    failed = report(nodes=nodes, first_failure="node0")
    assert failed.as_dict()["known_error"]["name"] == "port in use"
    assert failed.as_text().splitlines()[-3:-1] == [
        "  known as  port in use: the scheduler's port is taken on rank 0's node",
        "  next      end what listens there, or set another telechat_master_port",
    ]
    assert report(nodes=nodes).as_dict()["known_error"] is None


def test_a_diverged_loss_is_said() -> None:
    diverged = Step(1, 1, 10, 10, float("nan"), 90, 1e-4)
    assert "the training has diverged" in report(JobState.SUCCEEDED, last_step=diverged).as_text()


@pytest.mark.parametrize(
    ("states", "changes", "state", "exit_code"),
    [
        ([JobState.SUCCEEDED, JobState.SUCCEEDED], {}, JobState.SUCCEEDED, 0),
        ([JobState.STOPPED, JobState.FAILED], {"first_failure": "node1"}, JobState.FAILED, 1),
        ([JobState.STOPPED, JobState.LOST], {"first_failure": "node1"}, JobState.LOST, 1),
        ([JobState.STOPPED, JobState.STOPPED], {"interrupted": True}, JobState.STOPPED, 130),
        ([JobState.SUCCEEDED, JobState.STOPPED], {}, JobState.STOPPED, 1),
    ],
)
def test_state_and_exit_code(states: list[JobState], changes: dict[str, Any], state: JobState, exit_code: int) -> None:
    found = report(*states, **changes)
    assert (found.state, found.exit_code) == (state, exit_code)


def test_as_dict_is_json() -> None:
    document = json.loads(json.dumps(report(JobState.SUCCEEDED).as_dict()))
    assert document["state"] == "SUCCEEDED"
    assert (document["first_loss"], document["last_loss"], document["steps"]) == (7.5, 3.25, 10)
    assert document["nodes"][0]["state"] == "SUCCEEDED"


def test_as_dict_tells_the_cause_as_a_value_beside_the_sentence() -> None:
    killed = Failure(FailureKind.WORKER_SIGNAL, rank=9, signal="SIGKILL")
    node = NodeOutcome(node="node1", node_rank=1, state=JobState.FAILED, reason="a sentence", failure=killed)
    document = json.loads(json.dumps(report(nodes=(node,), first_failure="node1").as_dict()))
    assert document["nodes"][0]["reason"] == "a sentence"
    assert document["nodes"][0]["failure"] == {
        "kind": "worker_signal",
        "rank": 9,
        "signal": "SIGKILL",
        "exit_code": None,
        "node": None,
        "error": "",
    }
    assert document["known_error"]["passes"] is document["known_error"]["is_transient"] is True


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0 s"), (59, "59 s"), (60, "1 min 00 s"), (3599, "59 min 59 s"), (3900, "1 h 05 min")]
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text
