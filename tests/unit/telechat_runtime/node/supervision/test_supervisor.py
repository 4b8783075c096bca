# SPDX-License-Identifier: Apache-2.0
"""The supervisor with real processes: workers that fail, hang, ignore signals; an msrun like the real one."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path
from typing import Any, Dict, List

import pytest

from telechat_runtime.job.paths import JobPaths
from telechat_runtime.job.state import JobState
from telechat_runtime.node.supervision import lease, processes, supervisor
from telechat_runtime.node.supervision.failure import named_by_msrun
from telechat_runtime.node.supervision.peers import PeerGroup, Peers
from telechat_runtime.node.supervision.state import NodeJob
from telechat_runtime.node.supervision.workers import SCHEDULER
from tests.support.local_node import LocalNode, is_running, wait_until
from tests.support.this_machine import free_port

# msrun's own second to notice a crash is not what most tests are about.
NOTICED_AT_ONCE = {"supervision.supervisor._MSRUN_NOTICES_SECONDS": 0.1}
RUN_ON = "echo ready; sleep 600"
RANK_1_FAILS = "if [ $RANK_ID = 1 ]; then echo 'ValueError: no such layer'; exit 3; fi; sleep 600"


def all_processes(job_id: str) -> List[int]:
    return [process.identity.pid for process in processes.of_job(job_id)]


def is_free(node: LocalNode) -> bool:
    return bool(lease.look(node.paths("any")).held is None)


def test_a_job_whose_workers_end_well_has_succeeded(node: LocalNode) -> None:
    job_id = node.start("echo done")
    state = node.wait_for_end(job_id)
    assert (state["state"], state["exit_code"], state["reason"]) == ("SUCCEEDED", 0, "")
    assert state["ended"] >= state["started"]
    wait_until(lambda: is_free(node))


def test_the_state_names_each_worker_while_it_runs(node: LocalNode) -> None:
    job_id = node.start(RUN_ON)
    wait_until(lambda: len([seen for seen in node.state(job_id)["processes"] if seen["rank"] is not None]) == 2)
    shown = {seen["rank"]: seen["pid"] for seen in node.state(job_id)["processes"] if seen["rank"] is not None}
    assert shown == {rank: node.worker_pid(job_id, rank) for rank in (0, 1)}


def test_the_first_failing_rank_and_its_exception_are_the_reason(node: LocalNode) -> None:
    job_id = node.start(RANK_1_FAILS)
    state = node.wait_for_end(job_id)
    assert (state["state"], state["failed_rank"]) == ("FAILED", 1)
    assert state["reason"] == "rank 1: ValueError: no such layer"
    assert all_processes(job_id) == []


def test_a_killed_worker_fails_the_job_by_the_signals_name(node: LocalNode) -> None:
    job_id = node.start(RUN_ON)
    node.wait_for_log(job_id, "ready")
    wait_until(lambda: len(node.state(job_id)["processes"]) >= 3)
    os.kill(node.worker_pid(job_id, 1), signal.SIGKILL)
    state = node.wait_for_end(job_id)
    assert (state["state"], state["failed_rank"]) == ("FAILED", 1)
    assert state["reason"].startswith("rank 1 was killed by SIGKILL")
    assert all_processes(job_id) == []


@pytest.mark.parametrize(
    ("is_cut_off", "state", "reason"),
    [
        (True, "STOPPED", r"node0 has given no sign of life for \d+ s"),
        (False, "FAILED", "rank 0 was killed by SIGTERM"),
    ],
)
def test_a_worker_that_mindspore_ends_for_want_of_rank_0_is_no_failure_of_its_node(
    node: LocalNode, is_cut_off: bool, state: str, reason: str
) -> None:
    if is_cut_off:
        # After how many seconds a node counts as silent, test_peers.py tells.
        node.constants = {"supervision.peers._LONG_SILENCE_SECONDS": 0.0}
    knows = {"token": "t0ken", "addr": "127.0.0.1", "port": free_port(), "join_seconds": 60, "silence_seconds": 15}
    rank_0 = Peers(PeerGroup(names=("node0", "node1"), rank=0, **knows))
    try:
        job_id = node.start(RUN_ON, node_rank=1, node_count=2, peers={**knows, "names": ["node0", "node1"]}, workers=1)
        node.wait_for_log(job_id, "ready", ranks=1)
        wait_until(lambda: rank_0._last_sign[1] is not None)
        if is_cut_off:
            rank_0.close()
        os.kill(node.worker_pid(job_id, 0), signal.SIGTERM)
        ended = node.wait_for_end(job_id)
    finally:
        if not is_cut_off:
            rank_0.close()
    assert ended["state"] == state
    assert re.match(reason, ended["reason"])
    assert ended["cause"] == ("node0" if is_cut_off else "")
    assert ended["failure"]["kind"] == ("node_lost" if is_cut_off else "worker_signal")


def test_an_msrun_that_waits_for_its_scheduler_after_a_crash_is_ended(node: LocalNode) -> None:
    node.constants = NOTICED_AT_ONCE
    job_id = node.start(RANK_1_FAILS, env={"MSRUN_SCHEDULER": "sleep 600"})
    state = node.wait_for_end(job_id)
    assert (state["state"], state["reason"]) == ("FAILED", "rank 1: ValueError: no such layer")
    assert all_processes(job_id) == []


def test_a_crash_is_seen_while_msrun_waits_for_an_earlier_worker(node: LocalNode) -> None:
    node.constants = NOTICED_AT_ONCE
    job_id = node.start(RANK_1_FAILS, env={"MSRUN_WAITS_IN_ORDER": "1"})
    state = node.wait_for_end(job_id)
    assert (state["state"], state["failed_rank"]) == ("FAILED", 1)
    assert all_processes(job_id) == []


def test_a_scheduler_that_fails_is_the_reason(node: LocalNode) -> None:
    node.constants = NOTICED_AT_ONCE
    fails = "echo 'RuntimeError: Failed to call bind: Address already in use'; exit 1"
    job_id = node.start(RUN_ON, env={"MSRUN_SCHEDULER": f"while [ ! -e go ]; do sleep 0.05; done; {fails}"})
    wait_until(lambda: [seen for seen in node.state(job_id)["processes"] if seen["role"] == SCHEDULER])
    (Path(node.paths(job_id).work) / "go").touch()
    state = node.wait_for_end(job_id)
    assert (state["state"], state["failed_rank"]) == ("FAILED", None)
    assert state["reason"] == "the scheduler: RuntimeError: Failed to call bind: Address already in use"
    assert all_processes(job_id) == []


def test_a_killed_scheduler_is_the_reason_even_if_its_worker_has_ended_before_anybody_looks(node: LocalNode) -> None:
    job_id = node.start(RUN_ON, env={"MSRUN_SCHEDULER": "sleep 600"})
    node.wait_for_log(job_id, "ready")
    seen = wait_until(lambda: [seen for seen in node.state(job_id)["processes"] if seen["role"] == SCHEDULER])
    supervisor_pid = node.state(job_id)["supervisor"]["pid"]
    os.kill(supervisor_pid, signal.SIGSTOP)
    try:
        os.kill(seen[0]["pid"], signal.SIGKILL)
        ended = node.worker_pid(job_id, 0)
        os.kill(ended, signal.SIGTERM)
        wait_until(lambda: ended in named_by_msrun(node.paths(job_id)))
    finally:
        os.kill(supervisor_pid, signal.SIGCONT)
    state = node.wait_for_end(job_id)
    assert (state["state"], state["failed_rank"], state["reason"]) == ("FAILED", None, "the scheduler: failed")


def test_an_msrun_that_is_killed_leaves_no_worker(node: LocalNode) -> None:
    job_id = node.start(RUN_ON)
    node.wait_for_log(job_id, "ready")
    msrun = next(seen.identity.pid for seen in processes.of_job(job_id) if seen.role is None)
    os.kill(msrun, signal.SIGKILL)
    state = node.wait_for_end(job_id)
    assert (state["state"], state["exit_code"]) == ("FAILED", -signal.SIGKILL)
    assert state["reason"].startswith("msrun was killed by SIGKILL")
    assert all_processes(job_id) == []


def test_workers_that_ignore_sigterm_are_killed_after_the_grace(node: LocalNode) -> None:
    job_id = node.start("trap '' TERM; echo ready; while :; do sleep 0.1; done", grace_seconds=0.5)
    node.wait_for_log(job_id, "ready")
    workers = [node.worker_pid(job_id, rank) for rank in (0, 1)]
    os.kill(node.state(job_id)["supervisor"]["pid"], signal.SIGTERM)
    state = node.wait_for_end(job_id)
    assert (state["state"], state["reason"]) == ("STOPPED", "stopped on request")
    assert state["left_pids"] == []
    assert set(workers) <= set(state["ended_pids"])
    assert not any(is_running(pid) for pid in workers)


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGINT])
def test_a_closing_terminal_ends_neither_supervisor_nor_job(node: LocalNode, number: int) -> None:
    job_id = node.start("echo ready; while [ ! -e go ]; do sleep 0.1; done")
    node.wait_for_log(job_id, "ready")
    os.kill(node.state(job_id)["supervisor"]["pid"], number)
    (Path(node.paths(job_id).work) / "go").touch()
    assert node.wait_for_end(job_id)["state"] == "SUCCEEDED"


def test_workers_inherit_no_ignored_signals(node: LocalNode) -> None:
    job_id = node.start("grep SigIgn /proc/self/status")
    assert node.wait_for_end(job_id)["state"] == "SUCCEEDED"
    line = Path(node.paths(job_id).worker_log(0)).read_text()
    ignored = int(line.split()[1], 16)
    assert not any(ignored >> (number - 1) & 1 for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM))


def test_a_job_of_one_process_fails_as_its_rank(node: LocalNode) -> None:
    argv = ["sh", "-c", "echo 'config.yaml: no key model' >&2; exit 4"]
    job_id = node.start("", workers=1, argv=argv, output="worker_0.log")
    state = node.wait_for_end(job_id)
    assert (state["state"], state["exit_code"], state["failed_rank"]) == ("FAILED", 4, 0)
    assert state["reason"] == "rank 0 ended with exit code 4; its log ends with: config.yaml: no key model"


def make_job() -> NodeJob:
    return NodeJob(job_id="job-1", kind="finetune", owner="lin", state=JobState.RUNNING, started="2026-01-01T00:00:00Z")


def test_the_last_state_is_written_once_the_disk_has_room_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    refused: List[NodeJob] = []
    written: List[NodeJob] = []

    def write(_paths: JobPaths, job: NodeJob) -> None:
        if len(refused) < 2:
            refused.append(job)
            raise OSError(28, "No space left on device")
        written.append(job)

    monkeypatch.setattr(supervisor, "write_state", write)
    monkeypatch.setattr(supervisor.time, "sleep", lambda _seconds: None)
    supervisor._write_last_state(JobPaths(str(tmp_path), "job-1"), make_job())
    assert written == [make_job()]
    assert capsys.readouterr().err.count("No space left on device") == 2


def test_the_node_stays_taken_while_a_process_can_not_be_ended(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    left: List[Any] = [([], [17]), ([17], [])]
    monkeypatch.setattr(supervisor, "end_job", lambda _job_id, _grace: left.pop(0))
    changes: Dict[str, Any] = {"left_pids": (17,)}
    supervisor.hold_node_for(NodeJob(**{**vars(make_job()), **changes}))
    assert left == []
    assert "the node stays taken while [17] can't be ended" in capsys.readouterr().err
