# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any, Dict, Iterator, List

import pytest

from telechat_runtime.errors import PreflightError
from telechat_runtime.job.paths import JobPaths
from telechat_runtime.node.supervision import lease
from telechat_runtime.node.supervision.processes import JOB_ID_VARIABLE
from tests.support.local_node import CHECKOUT, Answer, LocalNode

SINCE = "2026-11-23T10:00:00Z"


@pytest.fixture
def paths(tmp_path: Path) -> JobPaths:
    return JobPaths(str(tmp_path), "job-1")


@pytest.fixture
def lost_process() -> Iterator[subprocess.Popen[bytes]]:
    environment = {**os.environ, JOB_ID_VARIABLE: "job-lost"}
    with subprocess.Popen(["sleep", "600"], env=environment) as process:
        yield process
        process.kill()


def test_nobody_holds_a_node_that_never_had_a_job(paths: JobPaths) -> None:
    assert lease.look(paths) == lease.LeaseLook(held=None, stale=None)


def test_a_lease_names_its_holder_until_it_is_given_back(paths: JobPaths) -> None:
    held = lease.take(paths, owner="alice", since=SINCE)
    record = {"job_id": "job-1", "owner": "alice", "since": SINCE}
    assert lease.look(paths) == lease.LeaseLook(held=record, stale=None)
    assert lease.is_held(paths)
    assert not lease.is_held(JobPaths(paths.job_root, "job-2"))
    held.give_back()
    assert lease.look(paths) == lease.LeaseLook(held=None, stale=None)


def test_a_lease_that_is_given_back_is_nobodys_although_a_forked_process_still_has_it(paths: JobPaths) -> None:
    reader, writer = os.pipe()
    held = lease.take(paths, owner="alice", since=SINCE)
    child = os.fork()
    if child == 0:
        os.close(writer)
        os.read(reader, 1)
        os._exit(0)
    os.close(reader)
    try:
        held.give_back()
        other = lease.take(JobPaths(paths.job_root, "job-2"), owner="bob", since=SINCE)
        held.give_back()
        assert lease.is_held(JobPaths(paths.job_root, "job-2")), "the second time touches nothing"
        other.give_back()
    finally:
        os.close(writer)
        os.waitpid(child, 0)


def test_a_held_node_is_refused_with_owner_job_and_time(paths: JobPaths) -> None:
    held = lease.take(paths, owner="alice", since=SINCE)
    with pytest.raises(PreflightError, match=f"busy: alice runs job job-1 on it since {SINCE}"):
        lease.take(JobPaths(paths.job_root, "job-2"), owner="bob", since=SINCE)
    assert lease.is_held(paths), "the refused one must not have touched the record"
    held.give_back()


def test_the_record_of_a_holder_that_died_is_stale_and_the_node_is_free(paths: JobPaths) -> None:
    program = (
        "import sys; from telechat_runtime.job.paths import JobPaths; "
        "from telechat_runtime.node.supervision import lease; "
        "lease.take(JobPaths(sys.argv[1], 'job-0'), owner='carol', since='then')"
    )
    subprocess.run([sys.executable, "-c", program, paths.job_root], cwd=CHECKOUT, check=True)
    assert lease.look(paths).held is None
    assert lease.look(paths).stale == {"job_id": "job-0", "owner": "carol", "since": "then"}
    lease.clear(JobPaths(paths.job_root, "another"))
    assert lease.look(paths).stale is not None
    lease.take(paths, owner="alice", since=SINCE).leave()


def test_clear_removes_the_stale_record_of_that_job(paths: JobPaths) -> None:
    lease.take(paths, owner="alice", since=SINCE).leave()
    assert lease.look(paths).stale is not None
    lease.clear(paths)
    assert lease.look(paths) == lease.LeaseLook(held=None, stale=None)


def test_clear_leaves_a_held_lease_alone(paths: JobPaths) -> None:
    held = lease.take(paths, owner="alice", since=SINCE)
    lease.clear(paths)
    assert lease.is_held(paths)
    held.give_back()
    lease.clear(JobPaths(f"{paths.job_root}/nowhere", "job-1"))


def test_processes_of_a_lost_job_keep_the_node_busy(paths: JobPaths, lost_process: subprocess.Popen[bytes]) -> None:
    Path(paths.lease).write_text(json.dumps({"job_id": "job-lost", "owner": "carol", "since": SINCE}), encoding="utf-8")
    with pytest.raises(PreflightError, match=f"job-lost of carol .*still run: {lost_process.pid}"):
        lease.take(paths, owner="alice", since=SINCE)
    assert lease.look(paths).stale == {"job_id": "job-lost", "owner": "carol", "since": SINCE}
    lost_process.kill()
    lost_process.wait()
    lease.take(paths, owner="alice", since=SINCE).give_back()


@pytest.mark.parametrize("text", ["", "{", "[1]", "\0\0"])
def test_a_lease_file_without_a_record_is_a_free_node(paths: JobPaths, text: str) -> None:
    Path(paths.lease).write_text(text, encoding="utf-8")
    assert lease.look(paths) == lease.LeaseLook(held=None, stale=None)
    lease.take(paths, owner="alice", since=SINCE).give_back()


def test_readers_do_not_make_a_start_fail(paths: JobPaths) -> None:
    lease.take(paths, owner="alice", since=SINCE).give_back()
    done = threading.Event()

    def look_again_and_again() -> None:
        while not done.is_set():
            lease.look(paths)

    readers = [threading.Thread(target=look_again_and_again) for _ in range(2)]
    for reader in readers:
        reader.start()
    try:
        for _ in range(20):
            lease.take(paths, owner="alice", since=SINCE).give_back()
    finally:
        done.set()
        for reader in readers:
            reader.join()


def test_of_starts_at_the_same_moment_exactly_one_wins(node: LocalNode) -> None:
    requests = [node.request("exec sleep 600", owner=f"user-{number}") for number in range(3)]
    answers: Dict[str, Answer] = {}
    begin = threading.Barrier(len(requests))

    def start(request: Dict[str, Any]) -> None:
        begin.wait()
        answers[request["job_id"]] = node.call("start", **request)

    threads = [threading.Thread(target=start, args=(request,)) for request in requests]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    winners: List[Dict[str, Any]] = [request for request in requests if answers[request["job_id"]].exit_code == 0]
    assert len(winners) == 1
    holder = node.status()["lease"]
    assert (holder["job_id"], holder["owner"]) == (winners[0]["job_id"], winners[0]["owner"])
    for request in requests:
        if request is not winners[0]:
            refused = answers[request["job_id"]]
            assert refused.exit_code == PreflightError.exit_code
            assert f"busy: {holder['owner']} runs job {holder['job_id']} on it since {holder['since']}" in refused.error
            assert not Path(node.paths(request["job_id"]).folder).exists()
