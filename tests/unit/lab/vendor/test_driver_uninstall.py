# SPDX-License-Identifier: Apache-2.0
"""Uninstalling the driver."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from bare_server import WHOLE, Server, board, devices, plain

from lab.vendor import faults

if TYPE_CHECKING:
    from conftest import Packages

pytestmark = pytest.mark.lab

DKMS_TREE = "/var/lib/dkms/davinci_ascend"


def test_uninstalling_takes_effect_immediately(old_server: Server) -> None:
    result = old_server.run("/usr/local/Ascend/driver/script/uninstall.sh")
    assert result.returncode == 0
    words = "Driver package uninstalled successfully! Uninstallation takes effect immediately.\n"
    assert words in plain(result.stdout)
    assert devices(old_server) == set()
    for path in ("/usr/local/Ascend/driver", "/usr/local/sbin/npu-smi", "/usr/local/bin/npu-smi", DKMS_TREE):
        assert not old_server.path(path).exists()
        assert not old_server.path(path).is_symlink()
    assert old_server.text("/etc/ascend_install.info") == (
        "UserName=HwHiAiUser\nUserGroup=HwHiAiUser\n"
        "Firmware_Install_Type=full\nFirmware_Install_Path_Param=/usr/local/Ascend\n"
    )
    old_server.reboot()
    assert devices(old_server) == set()


def test_uninstalling_both_in_any_order_leaves_no_install_info(old_server: Server) -> None:
    assert old_server.run("/usr/local/Ascend/firmware/script/uninstall.sh", "--quiet").returncode == 0
    assert old_server.run("/usr/local/Ascend/driver/script/uninstall.sh", "--quiet").returncode == 0
    assert not old_server.path("/etc/ascend_install.info").exists()


def test_uninstalling_without_hot_reset_needs_a_reboot(old_server: Server) -> None:
    faults.set_fault(old_server.hardware, "hot_reset_failure")
    output = plain(old_server.run("/usr/local/Ascend/driver/script/uninstall.sh").stdout)
    assert "Driver package uninstalled successfully! Reboot needed for uninstallation to take effect!\n" in output
    assert devices(old_server) == WHOLE
    old_server.reboot()
    assert devices(old_server) == set()


@pytest.mark.parametrize("options", [("--full",), ("--quiet", "--yes"), ("now",)])
def test_the_uninstall_script_knows_two_options(old_server: Server, options: tuple[str, ...]) -> None:
    result = old_server.run("/usr/local/Ascend/driver/script/uninstall.sh", *options)
    assert result.returncode == 1
    assert "ERR_NO:0x0004;ERR_DES: Unrecognized parameters" in plain(result.stdout)
    assert devices(old_server) == WHOLE


def test_uninstalling_what_is_not_installed(server: Server, runs: Packages) -> None:
    result = server.run(str(runs.driver("23.0.3")), "--uninstall")
    assert result.returncode == 1
    words = "ERR_NO:0x0080;ERR_DES:Driver package is not installed on this device, uninstall failed\n"
    assert words in plain(result.stdout)


def test_uninstalling_that_fails(old_server: Server) -> None:
    faults.set_fault(old_server.hardware, "uninstall_failure")
    result = old_server.run("/usr/local/Ascend/driver/script/uninstall.sh", "--quiet")
    assert result.returncode == 1
    assert "ERR_NO:0x0090;ERR_DES:uninstall driver failed\n" in plain(result.stdout)
    assert board(old_server)["Software Version"] == "23.0.3"


def test_uninstalling_by_force_while_the_chips_are_occupied(server: Server, runs: Packages) -> None:
    server.install(runs.driver("24.1.rc3"))
    faults.set_fault(server.hardware, "device_busy")
    refused = server.run("/usr/local/Ascend/driver/script/uninstall.sh", "--quiet")
    assert refused.returncode == 1
    assert "The davinci nodes are occupied by some processes" in refused.stdout
    forced = plain(server.run("/usr/local/Ascend/driver/script/uninstall.sh", "--force").stdout)
    assert "[WARNING]Kernel modules can not be removed, reboot needed" in forced
    assert "Driver package uninstalled finished!\n" in forced
