# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import os
import signal
import subprocess
from contextlib import ExitStack
from pathlib import Path
from typing import Callable, Iterator, Optional

import pytest

from telechat_runtime.ascend.processes import Identity
from telechat_runtime.node.supervision import processes
from telechat_runtime.node.supervision.processes import JOB_ID_VARIABLE
from tests.support.local_node import is_running, wait_until

JOB = f"test-processes-{os.getpid()}"
Spawn = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture
def spawn() -> Iterator[Spawn]:
    with ExitStack() as stack:

        def run(command: str, *, job_id: Optional[str] = JOB, own_session: bool = True, **env: str):
            environment = {**os.environ, **env, **({JOB_ID_VARIABLE: job_id} if job_id else {})}
            process = subprocess.Popen(["sh", "-c", command], env=environment, start_new_session=own_session)
            stack.callback(process.wait)
            stack.callback(process.kill)
            return process

        yield run
        processes.end_job(JOB, 0)


def pids_of_job() -> set[int]:
    return {process.identity.pid for process in processes.of_job(JOB)}


def wait_until_ready(ready: Path) -> None:
    wait_until(ready.exists)


def test_a_process_is_known_by_pid_and_start() -> None:
    own = processes.identify(os.getpid())
    assert own is not None
    assert processes.is_alive(own)
    assert not processes.is_alive(Identity(pid=own.pid, start=own.start + 1))


def test_a_name_with_spaces_and_brackets_does_not_disturb(tmp_path: Path) -> None:
    program = tmp_path / "a) R (b"
    program.symlink_to("/bin/sleep")
    with subprocess.Popen([str(program), "600"]) as process:
        found = processes.identify(process.pid)
        process.kill()
    assert found is not None
    assert found.start > 0


def test_a_process_that_has_ended_is_nobody_whether_waited_for_or_not(spawn: Spawn) -> None:
    process = spawn("exit 7")
    wait_until(lambda: not is_running(process.pid))
    assert processes.identify(process.pid) is None
    assert pids_of_job() == set()
    process.wait()
    assert processes.identify(process.pid) is None


def test_a_zombie_tells_how_it_ended(spawn: Spawn) -> None:
    process = spawn("sleep 0.2; exit 7")
    identity = processes.identify(process.pid)
    assert identity is not None
    assert processes.zombie_exit_code(identity) is None
    wait_until(lambda: not is_running(process.pid))
    assert processes.zombie_exit_code(identity) == 7
    assert processes.zombie_exit_code(Identity(pid=identity.pid, start=identity.start + 1)) is None


def test_a_killed_zombie_tells_its_signal(spawn: Spawn) -> None:
    process = spawn("exec sleep 600")
    identity = processes.identify(process.pid)
    assert identity is not None
    process.send_signal(signal.SIGKILL)
    wait_until(lambda: not is_running(process.pid))
    assert processes.zombie_exit_code(identity) == -signal.SIGKILL


def test_a_job_has_the_processes_that_inherited_its_id(spawn: Spawn, tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    worker = spawn(f"sleep 600 & echo $! > {ready}.new; mv {ready}.new {ready}; wait", MS_ROLE="MS_WORKER", RANK_ID="3")
    spawn("exec sleep 600", job_id=f"{JOB}-2")
    spawn("exec sleep 600", job_id=None)
    wait_until_ready(ready)
    child = int(ready.read_text(encoding="utf-8"))
    found = {process.identity.pid: process for process in processes.of_job(JOB)}
    assert set(found) == {worker.pid, child}
    assert found[worker.pid].rank == 3
    assert found[child].rank is None, "what a worker forks inherits RANK_ID, but is no worker"
    assert found[child].pgid == worker.pid


def test_end_job_ends_groups_whose_leader_is_gone(spawn: Spawn, tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    leader = spawn(f"sleep 600 & echo $! > {ready}.new; mv {ready}.new {ready}; exit 0")
    wait_until_ready(ready)
    wait_until(lambda: not is_running(leader.pid))
    child = int(ready.read_text(encoding="utf-8"))
    ended, left = processes.end_job(JOB, 5)
    assert (ended, left) == ([child], [])
    assert not is_running(child)


def test_end_job_takes_a_child_that_dropped_the_environment(spawn: Spawn, tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    spawn(f"env -i sleep 600 & echo $! > {ready}.new; mv {ready}.new {ready}; wait")
    wait_until_ready(ready)
    child = int(ready.read_text(encoding="utf-8"))
    ended, left = processes.end_job(JOB, 5)
    assert (child in ended, left) == (True, [])
    assert not is_running(child)


def test_end_job_kills_what_ignores_term(spawn: Spawn, tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    stubborn = spawn(f"trap '' TERM; touch {ready}; while :; do sleep 0.1; done")
    wait_until_ready(ready)
    ended, left = processes.end_job(JOB, 0.3)
    assert stubborn.pid in ended
    assert left == []
    assert stubborn.wait() == -signal.SIGKILL


def test_end_job_gives_the_grace_to_clean_up(spawn: Spawn, tmp_path: Path) -> None:
    ready, cleaned = tmp_path / "ready", tmp_path / "cleaned"
    polite = spawn(f"trap 'sleep 0.3; touch {cleaned}; exit 0' TERM; touch {ready}; while :; do sleep 0.1; done")
    wait_until_ready(ready)
    assert processes.end_job(JOB, 30)[1] == []
    assert polite.wait() == 0
    assert cleaned.exists()


def test_end_job_spares_others(spawn: Spawn) -> None:
    spawn("exec sleep 600")
    other = spawn("exec sleep 600", job_id=f"{JOB}-2")
    stranger = spawn("exec sleep 600", job_id=None)
    processes.end_job(JOB, 5)
    for spared in (other, stranger):
        with pytest.raises(subprocess.TimeoutExpired):
            spared.wait(0.3)


def test_a_job_process_in_a_strangers_group_dies_alone(spawn: Spawn) -> None:
    # In the group of this test: signalling the group would end the test.
    member = spawn("exec sleep 600", own_session=False)
    wait_until(lambda: member.pid in pids_of_job())
    assert processes.end_job(JOB, 5) == ([member.pid], [])


def test_a_strangers_group_is_spared(spawn: Spawn, tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    member = f"{JOB_ID_VARIABLE}={JOB} sleep 600 & echo $! > {ready}.new; mv {ready}.new {ready}"
    stranger = spawn(f"{member}; wait; exec sleep 600", job_id=None)
    wait_until_ready(ready)
    assert processes.end_job(JOB, 5) == ([int(ready.read_text(encoding="utf-8"))], [])
    with pytest.raises(subprocess.TimeoutExpired):
        stranger.wait(0.5)


def test_a_reused_pid_is_never_signalled(spawn: Spawn) -> None:
    stranger = spawn("exec sleep 600", job_id=None)
    real = processes.identify(stranger.pid)
    assert real is not None
    processes._signal(Identity(pid=real.pid, start=real.start - 1), signal.SIGKILL)
    # A signal takes a moment to show.
    with pytest.raises(subprocess.TimeoutExpired):
        stranger.wait(0.5)
