# SPDX-License-Identifier: Apache-2.0
"""What dead jobs leave on a server: found, shown, removed on request; and nobody else's is touched."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from contextlib import closing, contextmanager
from typing import Any, Dict, Iterator, List

import pytest

from telechat_runtime.node import sweep as sweep_module
from telechat_runtime.node.facts import npu_memory
from telechat_runtime.node.supervision import processes
from telechat_runtime.node.supervision.processes import JOB_ID_VARIABLE
from tests.support.local_node import LocalNode, is_running, wait_until

# Of this run of the tests: the processes of another one on the same machine are seen too.
GONE = f"gone-{os.getpid()}"


def sweep(node: LocalNode, **request: Any) -> List[Dict[str, Any]]:
    """Return the findings of this test's jobs and the port: other tests may run beside this one."""
    findings = node.call("sweep", job_root=str(node.job_root), by="ada@bastion", grace_seconds=5, **request).document
    mine = (*node.jobs, "", GONE)
    return [finding for finding in findings["findings"] if finding["job_id"] in mine]


def kinds(findings: List[Dict[str, Any]]) -> List[str]:
    return [finding["kind"] for finding in findings]


@contextmanager
def survivor(job_id: str) -> Iterator[int]:
    process = subprocess.Popen(["sleep", "60"], env={**os.environ, JOB_ID_VARIABLE: job_id})
    try:
        yield process.pid
    finally:
        process.kill()
        process.wait()


def test_a_running_job_and_one_that_ended_well_leave_nothing(node: LocalNode) -> None:
    running = node.start("sleep 600")
    node.worker_pid(running, 0)
    assert sweep(node, clean=True) == []
    assert processes.of_job(running)
    node.stop(running)
    node.wait_for_end(node.start("true"))
    assert sweep(node) == []


def test_all_that_a_lost_job_leaves_is_found_and_removed(node: LocalNode) -> None:
    job_id = node.start("sleep 600")
    node.worker_pid(job_id, 1)
    node.kill_supervisor(job_id)
    found = sweep(node)
    assert kinds(found) == ["processes", "lease", "lost job"]
    assert all(finding["ours"] and not finding["done"] for finding in found)
    assert "sleep 600" in found[0]["detail"]
    assert len(processes.of_job(job_id)) >= 3, "a look changes nothing"
    cleaned = sweep(node, clean=True)
    assert cleaned[0]["done"].startswith("ended ")
    assert [finding["done"] for finding in cleaned[1:]] == ["cleared", "noted as STOPPED"]
    assert processes.of_job(job_id) == []
    assert node.state(job_id)["reason"] == "its supervisor was gone; swept by ada@bastion"
    assert sweep(node) == []
    assert node.wait_for_end(node.start("true"))["state"] == "SUCCEEDED"


def test_only_the_jobs_that_are_named(node: LocalNode) -> None:
    first = node.start("true")
    node.wait_for_end(first)
    with survivor(first) as pid:
        assert sweep(node, clean=True, jobs=["another"]) == []
        assert is_running(pid)
        assert kinds(sweep(node, clean=True, jobs=[first])) == ["processes"]
        wait_until(lambda: not is_running(pid))


def test_what_can_not_be_proved_to_be_a_jobs_is_shown_and_left_alone(node: LocalNode) -> None:
    node.start("true")
    with survivor(GONE) as pid:
        (finding,) = sweep(node, clean=True)
        assert (finding["kind"], finding["ours"], finding["done"]) == ("processes", False, "")
        assert "whose it is can't be proved" in finding["why"]
        assert is_running(pid)


def test_a_port_that_a_stranger_holds(node: LocalNode) -> None:
    with closing(socket.socket()) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        (finding,) = sweep(node, clean=True, port=port)
        assert finding["kind"] == "port"
        assert finding["detail"].startswith(f"{port} is taken by {os.getpid()} {sys.executable}"[:40])
        assert not finding["ours"]
    assert sweep(node, port=port) == []


BUSY = [{"npu_id": 3, "chip_id": 0, "used_mb": 23000}]


def swept(node: LocalNode, **request: Any) -> List[Dict[str, Any]]:
    answers: List[Dict[str, Any]] = []
    sweep_module.run({"job_root": str(node.job_root), "npus": True, **request}, answers.append)
    return [finding for finding in answers[0]["findings"] if finding["kind"] == "NPU memory"]


def test_memory_of_nobody_is_freed_by_a_reset_that_was_asked_for(
    node: LocalNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    resets: List[tuple[int, int]] = []
    monkeypatch.setattr(npu_memory, "held_by_nobody", lambda: BUSY)
    monkeypatch.setattr(npu_memory, "reset", lambda *chip: str(resets.append(chip) or ""))
    (finding,) = swept(node, clean=True)
    assert finding["detail"] == "NPU 3 chip 0: 23000 MB of HBM held by no process"
    assert resets == []
    assert swept(node, clean=True, reset_chips=True)[0]["done"] == "reset"
    assert resets == [(3, 0)]
    job_id = node.start("sleep 600")
    (finding,) = swept(node, clean=True, reset_chips=True)
    assert finding["why"] == f"the node is held by job {job_id}"
    assert resets == [(3, 0)]
