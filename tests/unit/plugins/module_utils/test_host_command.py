# SPDX-License-Identifier: Apache-2.0
"""Commands of the host: what they answer, and those that never do."""

import subprocess

from ansible.module_utils.host_command import NOT_FOUND, TIMED_OUT, run_on_host


def test_the_answer_and_its_code():
    assert run_on_host(["sh", "-c", "echo $LC_ALL; echo no >&2; exit 3"]) == (3, "C\n", "no\n")


def test_a_program_that_is_not_there():
    assert run_on_host(["/no/such/program"]).rc == NOT_FOUND


def test_a_command_that_hangs_in_a_driver_and_does_not_die_keeps_nobody_waiting(monkeypatch):
    """Such a process takes no signal until the driver lets go of it."""
    killed = []

    class Hung:
        def __init__(self, *_arguments, **_options):
            pass

        def communicate(self, timeout=None):
            raise subprocess.TimeoutExpired("npu-smi", timeout)

        def kill(self):
            killed.append(True)

        def wait(self, timeout=None):
            assert timeout is not None, "it would never come back"
            raise subprocess.TimeoutExpired("npu-smi", timeout)

    monkeypatch.setattr(subprocess, "Popen", Hung)
    answer = run_on_host(["npu-smi", "info"], timeout=1)
    assert (answer.rc, answer.stderr, killed) == (TIMED_OUT, "npu-smi gave no answer within 1 s", [True])
