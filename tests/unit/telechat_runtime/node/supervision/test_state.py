# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import errno
import json
import stat
import threading
from pathlib import Path

import pytest

from telechat_runtime.ascend.processes import Identity
from telechat_runtime.errors import PreflightError, UsageError
from telechat_runtime.job.paths import JobPaths
from telechat_runtime.job.state import TRANSITIONS, JobState
from telechat_runtime.node.supervision import lease, state
from telechat_runtime.node.supervision.state import NodeJob, job_paths, read_state, write_private_file, write_state

ALL = [(before, after) for before in JobState for after in JobState]


@pytest.fixture
def paths(tmp_path: Path) -> JobPaths:
    found = JobPaths(str(tmp_path), "job-1")
    Path(found.folder).mkdir(parents=True)
    return found


def a_job(job_state: JobState = JobState.RUNNING) -> NodeJob:
    return NodeJob(
        job_id="job-1",
        kind="finetune",
        owner="alice",
        state=job_state,
        started="2026-11-23T10:00:00Z",
        supervisor=Identity(pid=1 << 30, start=1),
        processes=({"pid": 5, "start": 6, "pgid": 5, "role": "MS_WORKER", "rank": 0},),
        ended_pids=(1, 2),
    )


@pytest.mark.parametrize(("before", "after"), ALL)
def test_a_job_takes_the_drawn_transitions_only(before: JobState, after: JobState) -> None:
    job = a_job(before)
    if after not in TRANSITIONS[before]:
        with pytest.raises(ValueError, match=f"a job that is {before} can't become {after}"):
            job.becoming(after)
        return
    became = job.becoming(after, reason="why")
    assert (became.state, became.reason) == (after, "why")
    assert (became.ended is not None) == after.is_terminal


@pytest.mark.parametrize("last", [JobState.SUCCEEDED, JobState.FAILED, JobState.STOPPED])
def test_what_is_written_is_read(paths: JobPaths, last: JobState) -> None:
    job = a_job().becoming(last, exit_code=-9, failed_rank=3, left_pids=(7,))
    write_state(paths, job)
    assert read_state(paths) == job


def test_a_running_job_is_running_while_somebody_holds_the_node_for_it(paths: JobPaths) -> None:
    write_state(paths, a_job())
    held = lease.take(paths, owner="alice", since="now")
    assert read_state(paths) == a_job()
    held.give_back()
    lost = read_state(paths)
    assert lost.state is JobState.LOST
    assert "supervisor is gone" in lost.reason
    assert json.loads(Path(paths.state).read_text(encoding="utf-8"))["state"] == "RUNNING", "a reader writes nothing"


def test_a_running_job_is_lost_when_another_one_holds_the_node(paths: JobPaths) -> None:
    write_state(paths, a_job())
    held = lease.take(JobPaths(paths.job_root, "job-2"), owner="bob", since="now")
    assert read_state(paths).state is JobState.LOST
    held.give_back()


def test_a_job_that_ends_while_it_is_read_is_not_lost(paths: JobPaths, monkeypatch: pytest.MonkeyPatch) -> None:
    write_state(paths, a_job())

    def ends_now(_paths: JobPaths) -> bool:
        write_state(paths, a_job().becoming(JobState.SUCCEEDED, exit_code=0))
        return False

    monkeypatch.setattr(state.lease, "is_held", ends_now)
    assert read_state(paths).state is JobState.SUCCEEDED


def test_an_unknown_job_is_named_with_its_root(paths: JobPaths) -> None:
    with pytest.raises(PreflightError, match=f"no job job-9 in {paths.job_root}"):
        read_state(JobPaths(paths.job_root, "job-9"))


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"state": "DANCING"}', '{"state": "RUNNING", "supervisor": 5}'])
def test_an_unreadable_state_is_named_with_its_file(paths: JobPaths, text: str) -> None:
    Path(paths.state).write_text(text, encoding="utf-8")
    with pytest.raises(PreflightError, match=r"state of job job-1 can't be read.*state\.json"):
        read_state(paths)


def test_a_state_of_a_newer_schema_is_read_as_far_as_it_can_be(paths: JobPaths) -> None:
    write_state(paths, a_job(JobState.FAILED))
    document = json.loads(Path(paths.state).read_text(encoding="utf-8"))
    Path(paths.state).write_text(json.dumps({**document, "schema": 99, "mood": "calm"}), encoding="utf-8")
    assert read_state(paths) == a_job(JobState.FAILED)
    Path(paths.state).write_text(json.dumps({**document, "schema": 99, "state": "DANCING"}), encoding="utf-8")
    with pytest.raises(
        PreflightError, match=r"job-1 can't be read: \S*/state\.json has schema 99, and schemas up to 1 "
    ):
        read_state(paths)


def test_a_reader_never_sees_half_a_state(paths: JobPaths) -> None:
    write_state(paths, a_job(JobState.FAILED))
    done = threading.Event()

    def write_again_and_again() -> None:
        number = 0
        while not done.is_set():
            number += 1
            write_state(paths, a_job().becoming(JobState.FAILED, reason="x" * (number % 2) * 20000))

    writer = threading.Thread(target=write_again_and_again)
    writer.start()
    try:
        lengths = {len(read_state(paths).reason) for _ in range(300)}
    finally:
        done.set()
        writer.join()
    assert lengths <= {0, 20000}
    assert list(Path(paths.folder).iterdir()) == [Path(paths.state)]


def test_a_file_that_cannot_be_replaced_leaves_nothing_behind(paths: JobPaths) -> None:
    Path(paths.state).mkdir()
    with pytest.raises(IsADirectoryError):
        write_state(paths, a_job())
    assert list(Path(paths.folder).iterdir()) == [Path(paths.state)]


def test_on_a_full_disk_the_reserve_makes_room_for_the_last_state(
    paths: JobPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = state.replace_file

    def replace_file(path: str, text: str) -> None:
        if Path(paths.reserve).exists():
            raise OSError(errno.ENOSPC, "No space left on device", path)
        written(path, text)

    state.lay_reserve(paths)
    monkeypatch.setattr(state, "replace_file", replace_file)
    with pytest.raises(OSError, match="No space"):
        write_state(paths, a_job(JobState.RUNNING))
    assert Path(paths.reserve).exists()
    write_state(paths, a_job(JobState.FAILED))
    assert state.load_state(paths).state is JobState.FAILED
    state.lay_reserve(paths)
    Path(paths.reserve).unlink()
    monkeypatch.setattr(state, "replace_file", lambda path, *_, **__: raise_full(path))
    with pytest.raises(OSError, match="No space"):
        write_state(paths, a_job())


def raise_full(path: str) -> None:
    raise OSError(errno.ENOSPC, "No space left on device", path)


def test_the_reserve_takes_room_on_the_disk(paths: JobPaths) -> None:
    state.lay_reserve(paths)
    assert Path(paths.reserve).stat().st_blocks * 512 >= 64 * 1024


def test_the_state_is_for_all_and_the_plan_for_its_owner(paths: JobPaths) -> None:
    write_state(paths, a_job())
    write_private_file(paths.plan, "{}")
    assert stat.S_IMODE(Path(paths.state).stat().st_mode) == 0o644
    assert stat.S_IMODE(Path(paths.plan).stat().st_mode) == 0o600


def test_the_job_root_may_be_in_the_home_of_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/alice")
    assert job_paths({"job_root": "~/jobs/../telechat"}, "job-1").folder == "/home/alice/telechat/jobs/job-1"


@pytest.mark.parametrize("request_", [{}, {"job_root": ""}, {"job_root": None}])
def test_a_request_without_a_job_root_is_refused(request_: dict[str, object]) -> None:
    with pytest.raises(UsageError, match="job_root"):
        job_paths(request_, "job-1")
