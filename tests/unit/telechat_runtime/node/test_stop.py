# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
from typing import Any, Dict, List

import pytest

from telechat_runtime.errors import PreflightError, UsageError
from telechat_runtime.job.paths import JobPaths
from telechat_runtime.node import stop
from telechat_runtime.node.supervision import processes
from telechat_runtime.node.supervision.processes import JOB_ID_VARIABLE
from telechat_runtime.node.supervision.state import NodeJob
from tests.support.local_node import CHECKOUT, LocalNode, is_running, wait_until

FOREVER = "echo up; exec sleep 600"


def test_a_stopped_job_leaves_nothing_and_a_free_node(node: LocalNode) -> None:
    job_id = node.start(FOREVER)
    node.wait_for_log(job_id, "up")
    workers = {node.worker_pid(job_id, rank) for rank in (0, 1)}
    answer = node.stop(job_id)
    assert answer.exit_code == 0
    assert answer.document["state"] == "STOPPED"
    assert answer.document["left"] == []
    assert workers <= set(answer.document["ended"])
    assert processes.of_job(job_id) == []
    assert node.status()["lease"] is None
    assert node.state(job_id)["state"] == "STOPPED"


def test_workers_that_fork_leave_nothing(node: LocalNode) -> None:
    job_id = node.start("sleep 600 & setsid sleep 600 & echo up; wait")
    node.wait_for_log(job_id, "up")
    wait_until(lambda: len(processes.of_job(job_id)) >= 7)
    assert node.stop(job_id).document["left"] == []
    assert processes.of_job(job_id) == []


def test_workers_that_ignore_term_are_killed_after_the_grace(node: LocalNode) -> None:
    job_id = node.start("trap '' TERM; echo up; while :; do sleep 0.1; done", grace_seconds=0.3)
    node.wait_for_log(job_id, "up")
    workers = {node.worker_pid(job_id, rank) for rank in (0, 1)}
    answer = node.stop(job_id, grace_seconds=0.3)
    assert answer.document["state"] == "STOPPED"
    assert answer.document["left"] == []
    assert workers <= set(answer.document["ended"])
    assert not any(is_running(worker) for worker in workers)


def test_a_stop_without_grace_overrules_the_grace_of_the_plan(node: LocalNode) -> None:
    job_id = node.start("trap '' TERM; echo up; while :; do sleep 0.1; done", grace_seconds=600)
    node.wait_for_log(job_id, "up")
    assert node.stop(job_id, grace_seconds=0).document["state"] == "STOPPED"
    assert processes.of_job(job_id) == []


def test_a_second_stop_changes_nothing(node: LocalNode) -> None:
    job_id = node.start(FOREVER)
    first = node.stop(job_id)
    state = node.state(job_id)
    assert node.stop(job_id).document == first.document
    assert node.state(job_id) == state


def test_two_stops_at_once_agree(node: LocalNode) -> None:
    job_id = node.start(FOREVER)
    argv = [sys.executable, "-m", "telechat_runtime", "node", "stop", "--job", job_id]
    request = json.dumps({"job_root": str(node.job_root), "grace_seconds": 5})
    running = [
        subprocess.Popen(argv, cwd=CHECKOUT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(2)
    ]
    for process in running:
        assert process.stdin is not None
        process.stdin.write(request)
        process.stdin.flush()
    for process in running:
        document = json.loads(process.communicate()[0])
        assert (document["state"], document["left"]) == ("STOPPED", [])
    assert node.status()["lease"] is None


def test_a_job_that_has_ended_stays_as_it_is(node: LocalNode) -> None:
    job_id = node.start("exit 0")
    state = node.wait_for_end(job_id)
    answer = node.stop(job_id)
    assert answer.document == {
        "event": "stopped",
        "job_id": job_id,
        **{name: state[name] for name in ("state", "exit_code", "reason", "failed_rank", "cause", "failure")},
        "ended": state["ended_pids"],
        "left": [],
    }
    assert state["state"] == "SUCCEEDED"
    assert node.state(job_id) == state


def test_an_unknown_job_is_told(node: LocalNode) -> None:
    answer = node.stop("job-unknown")
    assert answer.exit_code == PreflightError.exit_code
    assert f"no job job-unknown in {node.job_root}" in answer.error


def test_a_job_id_that_is_a_path_is_refused(node: LocalNode) -> None:
    stopped = subprocess.run(
        [sys.executable, "-m", "telechat_runtime", "node", "stop", "--job", "../x"],
        input=json.dumps({"job_root": str(node.job_root)}),
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert stopped.returncode == UsageError.exit_code
    assert "is no job id" in stopped.stderr


def test_a_job_without_its_supervisor_is_lost_and_can_be_stopped(node: LocalNode) -> None:
    job_id = node.start(FOREVER)
    node.wait_for_log(job_id, "up")
    node.kill_supervisor(job_id)
    assert node.status()["jobs"][0]["state"] == "LOST"
    assert node.status()["stale_lease"]["job_id"] == job_id
    assert is_running(node.worker_pid(job_id, 0)), "msrun and its workers live on"
    answer = node.stop(job_id)
    assert answer.document["state"] == "STOPPED"
    assert answer.document["left"] == []
    assert len(answer.document["ended"]) >= 3
    assert processes.of_job(job_id) == []
    assert node.state(job_id)["state"] == "STOPPED"
    assert "supervisor was gone" in node.state(job_id)["reason"]
    assert "stale_lease" not in node.status()
    assert node.stop(job_id).document["state"] == "STOPPED"


def test_a_supervisor_that_hangs_is_killed(node: LocalNode, monkeypatch: pytest.MonkeyPatch) -> None:
    job_id = node.start(FOREVER)
    node.wait_for_log(job_id, "up")
    supervisor = node.state(job_id)["supervisor"]["pid"]
    os.kill(supervisor, signal.SIGSTOP)
    monkeypatch.setattr(stop, "wait_gone", lambda supervisor, _seconds: processes.wait_gone(supervisor, 0.1))
    answers: List[Dict[str, Any]] = []
    stop.run({"job_root": str(node.job_root), "job_id": job_id, "grace_seconds": 0}, answers.append)
    assert (answers[0]["state"], answers[0]["left"]) == ("STOPPED", [])
    assert answers[0]["reason"] == "stopped on request"
    wait_until(lambda: not is_running(supervisor))
    assert node.status()["lease"] is None


def test_other_jobs_and_strangers_are_spared(node: LocalNode) -> None:
    job_id = node.start(FOREVER)
    node.wait_for_log(job_id, "up")
    environment = {**os.environ, JOB_ID_VARIABLE: f"{job_id}-2"}
    with subprocess.Popen(["sleep", "600"], env=environment) as other, subprocess.Popen(["sleep", "600"]) as stranger:
        node.stop(job_id)
        alive = (other.poll(), stranger.poll())
        other.kill()
        stranger.kill()
    assert alive == (None, None)


def test_a_last_state_that_cannot_be_written_is_told(node: LocalNode, monkeypatch: pytest.MonkeyPatch) -> None:
    job_id = node.start(FOREVER)
    node.kill_supervisor(job_id)
    before = node.state(job_id)

    def on_a_full_disk(_paths: JobPaths, _job: NodeJob) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as full:
        full.setattr(stop, "write_state", on_a_full_disk)
        with pytest.raises(PreflightError, match=r"is stopped, but its state can't be written: .*No space left"):
            stop.run({"job_root": str(node.job_root), "job_id": job_id, "grace_seconds": 5}, print)
    assert processes.of_job(job_id) == []
    assert node.state(job_id) == before
