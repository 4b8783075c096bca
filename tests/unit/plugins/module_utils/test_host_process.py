# SPDX-License-Identifier: Apache-2.0

import os
import subprocess
from pathlib import Path

import pytest
from ansible.module_utils import host_process

from tests.support.local_node import wait_until


@pytest.fixture
def sleeper():
    process = subprocess.Popen(["sleep", "600.25"])
    # The kernel lets the parent go on before it has set the new program's command line.
    wait_until(lambda: Path(f"/proc/{process.pid}/cmdline").read_bytes())
    yield process
    process.kill()
    process.wait()


def test_a_process_runs_until_it_has_ended(sleeper):
    started = host_process.start_time(sleeper.pid)
    assert host_process.runs(sleeper.pid, started)
    sleeper.kill()
    # Dead, and not collected by its parent yet: it runs no more.
    os.waitid(os.P_PID, sleeper.pid, os.WEXITED | os.WNOWAIT)
    assert not host_process.runs(sleeper.pid, started)
    sleeper.wait()
    assert host_process.start_time(sleeper.pid) is None


def test_another_process_with_its_pid_is_another_process(sleeper):
    assert not host_process.runs(sleeper.pid, host_process.start_time(sleeper.pid) - 1)


@pytest.mark.parametrize(("pid", "started"), [(None, 1), (1, None), (None, None)])
def test_what_was_never_noted_does_not_run(pid, started):
    assert not host_process.runs(pid, started)


def test_found_by_its_command_line(sleeper):
    assert host_process.with_command(["sleep", "600.25"]) == sleeper.pid
    assert host_process.with_command(["600.25"]) == sleeper.pid
    assert host_process.with_command(["sleep", "600.26"]) is None
