# SPDX-License-Identifier: Apache-2.0
"""Where power is lost in the middle, the server's supervisor is asked for it and nothing goes on; a stall ends."""

from __future__ import annotations

import subprocess
import time
from typing import TYPE_CHECKING

import pytest
from bare_server import Server

from lab.vendor import faults

if TYPE_CHECKING:
    from conftest import Packages

pytestmark = pytest.mark.lab


def lose_power(server: Server, cut: str, *argv: str) -> str:
    """Run a program until its server asks for a power cut; return what that file says."""
    faults.set_fault(server.hardware, "power_cut", cut)
    process = server.start(*argv)
    asked = server.hardware / faults.POWER_CUT
    deadline = time.monotonic() + 30
    while not asked.exists():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.kill()
    server.run("sh", "-c", "kill -9 $(pgrep -f 'main.py|host_sys_init')")
    text = asked.read_text()
    asked.unlink()
    assert faults.read(server.hardware) == {}
    server.reboot()
    return text


@pytest.mark.parametrize(
    ("cut", "reached", "left"), [("driver:10", "driver 10\n", False), ("driver:35", "driver 40\n", True)]
)
def test_the_driver_stops_at_the_progress_named(
    server: Server, runs: Packages, cut: str, reached: str, left: bool
) -> None:
    argv = (str(runs.driver("24.1.rc3")), "--full", "--install-for-all", "--quiet")
    assert lose_power(server, cut, *argv) == reached
    assert server.path("/usr/local/Ascend/driver/version.info").exists() is left
    assert server.install(runs.driver("24.1.rc3"))[0] == 0


def test_half_of_the_chips_are_flashed(old_server: Server, runs: Packages) -> None:
    assert lose_power(old_server, "firmware:50", str(runs.firmware("24.1.rc3")), "--upgrade", "--quiet")
    shown = old_server.run(
        "/usr/local/Ascend/driver/tools/upgrade-tool", "--device_index", "-1", "--component", "-1", "--version"
    ).stdout
    assert (shown.count('"version":7.5.0.1.129'), shown.count('"version":7.1.0.5.220')) == (4, 4)


def test_the_uninstall_and_the_boot_can_be_cut_too(old_server: Server) -> None:
    assert lose_power(old_server, "boot:0", "/usr/local/Ascend/driver/host_sys_init.sh", "start") == "boot 0\n"
    assert lose_power(old_server, "uninstall:50", "/usr/local/Ascend/driver/script/uninstall.sh") == "uninstall 50\n"
    assert not old_server.path("/usr/local/Ascend/driver/version.info").exists()
    assert old_server.path("/usr/local/Ascend/driver/script/uninstall.sh").exists()


def test_a_step_that_stalls_goes_on_when_it_is_let(server: Server, runs: Packages) -> None:
    faults.set_fault(server.hardware, "stall", "driver:40")
    process = server.start(str(runs.driver("24.1.rc3")), "--full", "--install-for-all", "--quiet")
    server.wait_for(process, "upgradePercentage:40%")
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.5)
    faults.clear(server.hardware, "stall")
    assert "upgradePercentage:100%" in process.communicate(timeout=30)[0]
    assert process.returncode == 0
