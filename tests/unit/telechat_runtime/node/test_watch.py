# SPDX-License-Identifier: Apache-2.0
"""The watch of a real job: every line once, the last state after all lines, and the truth about a lost supervisor."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any, Dict, List

import pytest

from telechat_runtime.node import watch
from telechat_runtime.node.supervision import processes
from tests.support.local_node import CHECKOUT, LocalNode, wait_until

LINES = 500
WRITE_LINES = f"i=0; while [ $i -lt {LINES} ]; do echo line $i; i=$((i+1)); done; printf 'no end'"
RUN_ON = "echo ready; sleep 600"

Events = List[Dict[str, Any]]


def watched(node: LocalNode, job_id: str, **request: Any) -> Events:
    """Watch a job to its end and return all events."""
    events: Events = []
    request = {"ranks": None, "offsets": {}, **request}
    assert watch.run({"job_root": str(node.job_root), "job_id": job_id, **request}, events.append) == 0
    return events


def lines_of(events: Events, rank: int) -> List[str]:
    return [event["line"] for event in events if event["event"] == "log" and event["rank"] == rank]


def test_all_lines_come_once_and_before_the_last_state(node: LocalNode) -> None:
    job_id = node.start(WRITE_LINES)
    events = watched(node, job_id)
    for rank in (0, 1):
        assert lines_of(events, rank) == [*(f"line {number}" for number in range(LINES)), "no end"]
    assert [event["state"] for event in events if event["event"] == "state"][-1] == "SUCCEEDED"
    assert events[-1]["event"] == "state"


def test_only_the_ranks_that_are_asked_for(node: LocalNode) -> None:
    job_id = node.start("echo hello")
    events = watched(node, job_id, ranks=[1])
    assert (lines_of(events, 0), lines_of(events, 1)) == ([], ["hello"])


def test_a_second_watch_goes_on_where_the_first_one_stopped(node: LocalNode) -> None:
    job_id = node.start("echo one; echo two; echo three")
    first = watched(node, job_id, ranks=[0])
    offset = next(event["offset"] for event in first if event.get("line") == "one")
    assert lines_of(watched(node, job_id, ranks=[0], offsets={"worker_0.log": offset}), 0) == ["two", "three"]


def test_a_failure_is_told_with_rank_and_reason(node: LocalNode) -> None:
    job_id = node.start("if [ $RANK_ID = 0 ]; then echo 'KeyError: layers'; exit 1; fi; sleep 600")
    last = watched(node, job_id)[-1]
    assert last == {
        "event": "state",
        "state": "FAILED",
        "exit_code": last["exit_code"],
        "reason": "rank 0: KeyError: layers",
        "failed_rank": 0,
        "cause": "",
        "failure": {
            "kind": "worker_exit",
            "rank": 0,
            "signal": None,
            "exit_code": last["failure"]["exit_code"],
            "node": None,
            "error": "KeyError: layers",
        },
    }


def test_a_running_job_gives_signs_of_life(node: LocalNode, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "HEARTBEAT_SECONDS", 0.1)
    job_id = node.start("while [ ! -e go ]; do sleep 0.1; done")
    events: Events = []

    def out(event: Dict[str, Any]) -> None:
        events.append(event)
        if sum(event["event"] == "heartbeat" for event in events) == 2:
            open(f"{node.paths(job_id).work}/go", "w").close()  # noqa: PTH123 - a mark

    watch.run({"job_root": str(node.job_root), "job_id": job_id, "ranks": []}, out)
    assert events[-1]["state"] == "SUCCEEDED"


def test_a_supervisor_that_is_gone_makes_the_job_lost(node: LocalNode) -> None:
    job_id = node.start(RUN_ON)
    node.wait_for_log(job_id, "ready")
    node.kill_supervisor(job_id)
    last = watched(node, job_id)[-1]
    assert last["state"] == "LOST"
    assert "supervisor" in last["reason"]
    assert processes.of_job(job_id), "nobody but a stop may end what is left"
    assert node.stop(job_id).document["state"] == "STOPPED"
    assert processes.of_job(job_id) == []


def test_a_watch_ends_when_nobody_reads_it_any_more(node: LocalNode) -> None:
    job_id = node.start(RUN_ON)
    argv = [sys.executable, "-m", "telechat_runtime", "node", "watch", "--job", job_id]
    pipe = subprocess.PIPE
    with subprocess.Popen(argv, cwd=CHECKOUT, stdin=pipe, stdout=pipe, stderr=pipe) as reader:
        assert reader.stdin is not None
        assert reader.stdout is not None
        assert reader.stderr is not None
        reader.stdin.write(json.dumps({"job_root": str(node.job_root), "ranks": None}).encode() + b"\n")
        reader.stdin.flush()
        reader.stdout.readline()
        reader.stdout.close()
        wait_until(lambda: reader.poll() is not None)
        assert (reader.returncode, reader.stderr.read()) == (0, b"")
    assert node.state(job_id)["state"] == "RUNNING"


def test_a_watch_with_until_eof_ends_with_its_stdin(node: LocalNode) -> None:
    job_id = node.start(RUN_ON)
    argv = [sys.executable, "-m", "telechat_runtime", "node", "watch", "--job", job_id]
    request = {"job_root": str(node.job_root), "ranks": None, "until_eof": True}
    done = subprocess.run(
        argv, cwd=CHECKOUT, input=json.dumps(request) + "\n", text=True, capture_output=True, check=False, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert node.state(job_id)["state"] == "RUNNING"
