# SPDX-License-Identifier: Apache-2.0
"""The tools where only the driver's folder, npu-smi and device nodes are: no bus, no /run of the server."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lab.vendor import faults

if TYPE_CHECKING:
    from bare_server import Server
    from conftest import Packages

pytestmark = pytest.mark.lab

_ENTER = """
set -e
umount /var/lib/hardware /sys/bus/pci/devices
mount -t tmpfs tmpfs /run
for node in $HIDDEN; do rm "/dev/$node"; done
exec "$@"
"""


def inside(server: Server, *argv: str, hidden: str = "") -> tuple[int, str]:
    """Run a program in a container of the server that has mounted all but what is hidden from it."""
    devices = "mount -t tmpfs tmpfs /mnt && cp -a /dev/. /mnt/ && mount --move /mnt /dev"
    script = f"{devices}\nHIDDEN='{hidden}'\n{_ENTER}"
    result = server.run(
        "unshare", "--mount", "--pid", "--fork", "--mount-proc", "sh", "-ec", script, "container", *argv
    )
    return result.returncode, result.stdout


def test_npu_smi_shows_what_the_server_shows(running_server: Server) -> None:
    for arguments in (("info",), ("info", "-t", "board", "-i", "3"), ("info", "-m")):
        assert inside(running_server, "npu-smi", *arguments) == (0, running_server.run("npu-smi", *arguments).stdout)


def test_npu_smi_shows_the_chips_whose_nodes_are_there(running_server: Server) -> None:
    code, output = inside(
        running_server, "npu-smi", "info", "-l", hidden="davinci0 davinci1 davinci2 davinci3 davinci4 davinci5"
    )
    assert code == 0
    assert output.startswith("\tTotal Count                    : 2\n")


@pytest.mark.parametrize("hidden", ["davinci_manager", " ".join(f"davinci{number}" for number in range(8))])
def test_without_nodes_the_chips_cannot_be_initialised(running_server: Server, hidden: str) -> None:
    code, output = inside(running_server, "npu-smi", "info", hidden=hidden)
    assert code != 0
    assert "ret is -8005" in output


def test_a_new_alarm_is_seen_once_the_monitor_has_published_it(old_server: Server) -> None:
    faults.set_fault(old_server.hardware, "chip_alarm", 1)
    old_server.run("/usr/local/Ascend/driver/host_sys_init.sh", "publish")
    assert (
        "Health Status                  : Alarm"
        in inside(old_server, "npu-smi", "info", "-t", "health", "-i", "1", "-c", "0")[1]
    )


def test_flashing_and_booting_are_published(old_server: Server, runs: Packages) -> None:
    old_server.install(runs.firmware("24.1.rc3"), "--upgrade")
    old_server.install(runs.driver("24.1.rc3"), "--upgrade")
    old_server.reboot()
    board = inside(old_server, "npu-smi", "info", "-t", "board", "-i", "0")[1]
    assert "Software Version               : 24.1.rc3" in board
    assert "Firmware Version               : 7.5.0.1.129" in board


def test_hccn_tool_and_upgrade_tool_work_too(running_server: Server) -> None:
    tools = "/usr/local/Ascend/driver/tools"
    assert inside(running_server, f"{tools}/hccn_tool", "-i", "0", "-link", "-g") == (0, "link status: UP\n")
    code, output = inside(running_server, f"{tools}/upgrade-tool", "--device_index", "0", "--system_version")
    assert (code, "Get system version(23.0.3) succeed, deviceId(0)" in output) == (0, True)


def test_the_chips_settings_cannot_be_changed_from_there(running_server: Server) -> None:
    code, _ = inside(running_server, "/usr/local/Ascend/driver/tools/hccn_tool", "-i", "0", "-tls", "-s", "enable", "1")
    assert code == 1
