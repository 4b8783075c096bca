# SPDX-License-Identifier: Apache-2.0
"""Supervisors that are killed: their guard ends the job, keeps the node taken meanwhile, and says what happened."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Optional

from telechat_runtime.node.supervision import lease, processes
from tests.support.local_node import LocalNode, is_running, wait_until

FOREVER = "echo up; sleep 600"


def supervisor(node: LocalNode, job_id: str) -> int:
    return int(node.state(job_id)["supervisor"]["pid"])


def test_a_killed_supervisors_job_ends_as_failed_and_leaves_nothing(node: LocalNode) -> None:
    job_id = node.start(FOREVER)
    node.wait_for_log(job_id, "up")
    os.kill(supervisor(node, job_id), signal.SIGKILL)
    state = node.wait_for_end(job_id)
    assert (state["state"], state["reason"], state["left_pids"]) == ("FAILED", "its supervisor was killed", [])
    assert len(state["ended_pids"]) >= 3
    assert processes.of_job(job_id) == []
    wait_until(lambda: lease.look(node.paths(job_id)).held is None)
    assert lease.look(node.paths(job_id)).stale is None


def test_the_node_is_taken_until_the_job_has_ended(node: LocalNode) -> None:
    job_id = node.start("trap '' TERM; echo up; while [ ! -e go ]; do sleep 0.05; done", grace_seconds=60)
    node.wait_for_log(job_id, "up")
    os.kill(supervisor(node, job_id), signal.SIGKILL)
    wait_until(lambda: "its supervisor was killed" in Path(node.paths(job_id).supervisor_log).read_text())
    held = lease.look(node.paths(job_id)).held
    assert held
    assert held["job_id"] == job_id
    assert node.status()["jobs"][0]["state"] == "RUNNING"
    (Path(node.paths(job_id).work) / "go").touch()
    assert node.wait_for_end(job_id)["state"] == "FAILED"


def test_signals_that_a_supervisor_judges_are_none_to_its_guard(node: LocalNode) -> None:
    job_id = node.start(FOREVER)
    node.wait_for_log(job_id, "up")
    guard = node.guard_pid(job_id)
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
        os.kill(guard, number)
    assert node.stop(job_id).document["state"] == "STOPPED"
    wait_until(lambda: not is_running(guard))


def test_a_job_outlives_its_guard(node: LocalNode) -> None:
    job_id = node.start("while [ ! -e go ]; do sleep 0.05; done")
    guard = node.guard_pid(job_id)
    os.kill(guard, signal.SIGKILL)
    wait_until(lambda: not is_running(guard))
    (Path(node.paths(job_id).work) / "go").touch()
    assert node.wait_for_end(job_id)["state"] == "SUCCEEDED"
    wait_until(lambda: lease.look(node.paths(job_id)).held is None)


def test_whoever_asked_for_the_end_is_named(node: LocalNode) -> None:
    job_id = node.start(FOREVER)
    by: Optional[str] = "bob@bastion"
    node.call("stop", "--job", job_id, job_root=str(node.job_root), grace_seconds=5, by=by)
    assert node.state(job_id)["reason"] == "stopped on request of bob@bastion"
