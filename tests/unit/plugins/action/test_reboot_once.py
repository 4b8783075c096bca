# SPDX-License-Identifier: Apache-2.0
"""A reboot that happens once: only in the boot that owes it, whoever ends that boot, and whatever the link does."""

import subprocess
from types import SimpleNamespace

import pytest
from ansible.errors import AnsibleConnectionFailure

from plugins.action import reboot_once as plugin

pytestmark = pytest.mark.usefixtures("clock")

OWED = "7c1f5c3e-4c6f-4f0a-8f57-0f1b5a0f3c1d"
NEXT = "0b8a1f0e-93c1-4f52-9a57-6f6b0f7f2d11"
TIMEOUT = 1800
DOWN = AnsibleConnectionFailure("Failed to connect to the host via ssh: Connection refused")


def answer(boot, code=0, stdout="", stderr=""):
    return {"rc": code, "stdout": f"boot {boot}\r\n{stdout}", "stderr": stderr}


ACCEPTED = answer(OWED)
REFUSED = answer(OWED, plugin._REFUSED, stderr="Operation inhibited by backup")
NO_CHIPS = answer(NEXT, 1, stderr="dcmi module initialize failed. ret is -8005")
BACK = answer(NEXT, stdout="| npu-smi 24.1.rc3 |")


class Server:
    """A server's answers in order, the last one for ever; an exception stands for a link that is down."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.asked = []
        self.forgotten = 0

    def execute(self, script):
        self.asked.append(script)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    def reset(self):
        self.forgotten += 1


def reboot(server, *, check=False, test="npu-smi info"):
    arguments = {"boot_id": OWED, "test_command": test, "timeout": TIMEOUT}
    task = SimpleNamespace(args=arguments, check_mode=check, async_val=0, diff=False)
    connection = SimpleNamespace(_shell=SimpleNamespace(tmpdir="/nowhere"), reset=server.reset)
    action = plugin.ActionModule(task, connection, None, None, None, None)
    action._low_level_execute_command = server.execute
    return action.run(task_vars={})


def test_it_is_done_when_the_test_succeeds_in_another_boot(clock):
    assert reboot(Server(ACCEPTED, DOWN, DOWN, NO_CHIPS, BACK)) == {
        "changed": True,
        "rebooted": True,
        "elapsed": clock[0],
    }
    assert clock[0] > 0


def test_a_boot_that_is_over_already_gets_no_reboot_and_no_test():
    server = Server(NO_CHIPS)
    assert reboot(server) == {"changed": False, "rebooted": False}
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    "first",
    [
        pytest.param(DOWN, id="the host goes down while it is asked"),
        pytest.param(answer(OWED, 1, stderr="Failed to connect to bus"), id="systemd is gone before its answer"),
        pytest.param(REFUSED, id="somebody asked a moment ago"),
    ],
)
def test_somebody_elses_reboot_is_as_good(first):
    assert reboot(Server(first, DOWN, BACK))["rebooted"] is True


def test_after_a_lost_link_the_old_boot_is_asked_again():
    server = Server(DOWN, ACCEPTED, DOWN, BACK)
    assert reboot(server)["rebooted"] is True
    assert server.forgotten == 2


@pytest.mark.parametrize(
    ("answers", "says"),
    [
        ((REFUSED,), "systemd refuses to reboot it: Operation inhibited by backup"),
        ((ACCEPTED,), "its boot did not end within 1800 s: exit code 0"),
        ((ACCEPTED, DOWN), "no answer for 1800 s: Failed to connect to the host via ssh: Connection refused"),
        ((ACCEPTED, DOWN, NO_CHIPS), "the test failed for 1800 s: dcmi module initialize failed. ret is -8005"),
    ],
)
def test_what_never_comes_is_told(answers, says):
    assert reboot(Server(*answers)) == {"failed": True, "rebooted": False, "msg": says}


def test_the_test_has_its_time_from_the_new_boot_on(clock):
    class Slow(Server):
        def execute(self, script):
            late = clock[0] > 1.5 * TIMEOUT
            return BACK if late else NO_CHIPS if clock[0] > 0.9 * TIMEOUT else super().execute(script)

    assert reboot(Slow(DOWN))["rebooted"] is True


def test_check_mode_asks_nothing():
    server = Server(ACCEPTED)
    assert reboot(server, check=True)["changed"] is True
    assert server.asked == []


@pytest.mark.parametrize(
    ("systemctl", "boot", "test", "expected"),
    [
        ("exit 0", OWED, "false", 0),
        ("test $1 = reboot && exit 1; echo running", OWED, "true", plugin._REFUSED),
        ("test $1 = reboot && exit 1; echo degraded; exit 1", OWED, "true", plugin._REFUSED),
        ("test $1 = reboot && exit 1; echo stopping; exit 1", OWED, "true", 0),
        ("echo Failed to connect to bus >&2; exit 1", OWED, "true", 0),
        ("exit 1", NEXT, "true", 0),
        ("exit 1", NEXT, "sh -c 'exit 3'", 3),
    ],
)
def test_the_script_on_a_shell(tmp_path, systemctl, boot, test, expected):
    tools = {"systemctl": systemctl, "cat": f"echo {boot}"}
    for name, body in tools.items():
        path = tmp_path / name
        path.write_text(f"#!/bin/sh\n{body}\n")
        path.chmod(0o755)
    server = Server(BACK)
    reboot(server, test=test)
    result = subprocess.run(
        ["/bin/sh", "-c", server.asked[0]],
        env={"PATH": f"{tmp_path}:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (result.stdout.splitlines()[0], result.returncode) == (f"boot {boot}", expected)
