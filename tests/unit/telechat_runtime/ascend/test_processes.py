# SPDX-License-Identifier: Apache-2.0

import os
import subprocess
from pathlib import Path

import pytest

from telechat_runtime.ascend import processes
from tests.support.local_node import wait_until


@pytest.fixture
def sleeper():
    process = subprocess.Popen(["sleep", "600.25"])
    # The kernel lets the parent go on before it has set the new program's command line.
    wait_until(lambda: Path(f"/proc/{process.pid}/cmdline").read_bytes())
    yield process
    process.kill()
    process.wait()


def test_a_process_is_alive_until_it_has_ended(sleeper):
    identity = processes.identify(sleeper.pid)
    assert processes.is_alive(identity)
    sleeper.kill()
    # Dead, and not collected by its parent yet: it runs no more.
    os.waitid(os.P_PID, sleeper.pid, os.WEXITED | os.WNOWAIT)
    assert not processes.is_alive(identity)
    sleeper.wait()
    assert processes.identify(sleeper.pid) is None


def test_another_process_with_its_pid_is_another_process(sleeper):
    start = processes.identify(sleeper.pid).start
    assert not processes.is_alive(processes.Identity(sleeper.pid, start - 1))


def test_found_by_its_command_line(sleeper):
    identity = processes.identify(sleeper.pid)
    assert processes.with_command(["sleep", "600.25"]) == identity
    assert processes.with_command(["600.25"]) == identity
    assert processes.with_command(["sleep", "600.26"]) is None
