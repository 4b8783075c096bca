# SPDX-License-Identifier: Apache-2.0
"""A job that hangs: its workers' stacks are kept, by py-spy where there is one, else by the workers themselves."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from telechat_runtime.node.supervision import processes
from tests.support.local_node import LocalNode

STEPS = """\
import time
def wait_for_a_rank_that_never_comes():
    time.sleep(600)
for step in range(1, 6):
    print(f"{{ Epoch:[  1/  1], step:[{step:>5}/  100], loss:[2.3/2.4], per_step_time: 91ms", flush=True)
    time.sleep(0.1)
wait_for_a_rank_that_never_comes()
"""
# A busy machine may hold up a step for less than the floor.
OPTIONS = {"hang_factor": 3, "hang_floor": 2, "env": {}}
# An msrun that sees one worker's end ends the others, which may not have written their stacks by then.
OWN_STACKS = {"PYTHONFAULTHANDLER": "1", "MSRUN_POLL_SECONDS": "60"}
LOOKS_OFTEN = {"supervision.supervisor._CONDITION_LOOK_SECONDS": 0.02}


@pytest.fixture
def worker(node: LocalNode, tmp_path: Path) -> str:
    node.constants = LOOKS_OFTEN
    (tmp_path / "train.py").write_text(STEPS)
    return f"exec {sys.executable} {tmp_path}/train.py"


def test_workers_write_their_own_stacks_where_nothing_else_can(node: LocalNode, worker: str) -> None:
    job_id = node.start(worker, options=OPTIONS, env=OWN_STACKS)
    state = node.wait_for_end(job_id)
    assert state["state"] == "FAILED"
    assert state["reason"].startswith("hangs: no step for ")
    assert " after step 5 of 100; usual are 0." in state["reason"]
    assert state["failed_rank"] is None
    assert processes.of_job(job_id) == []
    for rank in (0, 1):
        assert "in wait_for_a_rank_that_never_comes" in Path(node.paths(job_id).worker_log(rank)).read_text()
    said = Path(node.paths(job_id).supervisor_log).read_text()
    assert f"rank 1 was told to write its stacks into {node.paths(job_id).worker_log(1)}" in said


def test_py_spy_is_asked_where_there_is_one(node: LocalNode, worker: str) -> None:
    spy = node.tools / "py-spy"
    spy.write_text('#!/bin/sh\ntest "$1 $2" = "dump --pid" || exit 2\necho "stacks of $3: all_reduce (comm.py:7)"\n')
    spy.chmod(0o755)
    job_id = node.start(worker, options=OPTIONS)
    pids = [node.worker_pid(job_id, rank) for rank in (0, 1)]
    node.wait_for_end(job_id)
    logs = Path(node.paths(job_id).logs)
    for rank, pid in enumerate(pids):
        assert (logs / "stacks" / f"worker_{rank}.txt").read_text() == f"stacks of {pid}: all_reduce (comm.py:7)\n"


def test_a_py_spy_that_may_not_look_is_as_none(node: LocalNode, worker: str) -> None:
    spy = node.tools / "py-spy"
    spy.write_text("#!/bin/sh\necho 'Permission Denied' >&2; exit 1\n")
    spy.chmod(0o755)
    job_id = node.start(worker, options=OPTIONS, env=OWN_STACKS)
    assert node.wait_for_end(job_id)["reason"].startswith("hangs: no step")
    assert "in wait_for_a_rank_that_never_comes" in Path(node.paths(job_id).worker_log(0)).read_text()
