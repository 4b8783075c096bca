# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, List

import pytest

from telechat_runtime.job.paths import JobPaths
from telechat_runtime.job.state import JobState
from telechat_runtime.node import status
from telechat_runtime.node.supervision import lease
from telechat_runtime.node.supervision.state import NodeJob, write_state


def a_job(root: Path, job_id: str, started: str, job_state: JobState = JobState.SUCCEEDED) -> JobPaths:
    paths = JobPaths(str(root), job_id)
    Path(paths.folder).mkdir(parents=True)
    write_state(paths, NodeJob(job_id=job_id, kind="finetune", owner="alice", state=job_state, started=started))
    return paths


def answer(root: Path) -> Dict[str, Any]:
    found: List[Dict[str, Any]] = []
    assert status.run({"job_root": str(root)}, found.append) == 0
    assert len(found) == 1
    return found[0]


def test_a_node_without_jobs(tmp_path: Path) -> None:
    assert answer(tmp_path / "nowhere") == {"lease": None, "service": None, "jobs": []}


def test_the_newest_job_comes_first(tmp_path: Path) -> None:
    a_job(tmp_path, "b", "2026-11-23T10:00:00Z")
    a_job(tmp_path, "c", "2026-11-23T12:00:00Z")
    a_job(tmp_path, "a", "2026-11-23T11:00:00Z")
    assert [job["job_id"] for job in answer(tmp_path)["jobs"]] == ["c", "a", "b"]


def test_a_job_is_shown_with_what_the_protocol_says(tmp_path: Path) -> None:
    a_job(tmp_path, "a", "2026-11-23T10:00:00Z")
    (job,) = answer(tmp_path)["jobs"]
    assert job.items() >= {"job_id": "a", "kind": "finetune", "owner": "alice", "state": "SUCCEEDED"}.items()
    assert {"started", "ended", "exit_code", "reason"} <= set(job)


def test_the_holder_is_named_and_a_record_left_behind_is_stale(tmp_path: Path) -> None:
    paths = a_job(tmp_path, "a", "2026-11-23T10:00:00Z", JobState.RUNNING)
    held = lease.take(paths, owner="alice", since="now")
    record = {"job_id": "a", "owner": "alice", "since": "now"}
    assert answer(tmp_path)["lease"] == record
    assert answer(tmp_path)["jobs"][0]["state"] == "RUNNING"
    text = Path(paths.lease).read_text(encoding="utf-8")
    held.give_back()
    Path(paths.lease).write_text(text, encoding="utf-8")
    assert answer(tmp_path)["lease"] is None
    assert answer(tmp_path)["stale_lease"] == record
    assert answer(tmp_path)["jobs"][0]["state"] == "LOST"


@pytest.mark.parametrize("make", [Path.mkdir, Path.touch])
def test_what_has_no_state_is_no_job(tmp_path: Path, make: Any) -> None:
    a_job(tmp_path, "a", "2026-11-23T10:00:00Z")
    make(tmp_path / "jobs" / "copied-here")
    assert [job["job_id"] for job in answer(tmp_path)["jobs"]] == ["a"]


def test_an_unreadable_state_is_shown_not_hidden(tmp_path: Path) -> None:
    paths = a_job(tmp_path, "a", "2026-11-23T10:00:00Z")
    Path(paths.state).write_text("{", encoding="utf-8")
    (job,) = answer(tmp_path)["jobs"]
    assert (job["job_id"], job["state"]) == ("a", "LOST")
    assert "can't be read" in job["reason"]
