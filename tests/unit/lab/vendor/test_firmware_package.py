# SPDX-License-Identifier: Apache-2.0
"""The firmware's .run on a server."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from bare_server import Server, plain

from lab.vendor import faults, hardware

if TYPE_CHECKING:
    from conftest import Packages

pytestmark = pytest.mark.lab

TAKES_EFFECT = "Reboot now or after driver installation for the installation/upgrade to take effect.\n"
VERSION_INFO = "/usr/local/Ascend/firmware/version.info"


def running(server: Server) -> list[str]:
    """Return the firmware each chip runs, as upgrade-tool says."""
    tool = "/usr/local/Ascend/driver/tools/upgrade-tool"
    output = server.run(tool, "--device_index", "-1", "--component", "-1", "--version").stdout
    return re.findall(r'"component":nve, "version":([^}]*)}', output)


def flash(server: Server) -> list[str]:
    return [chip["firmware"]["flash"] for chip in hardware.read(server.hardware)["chips"]]


def test_firmware_is_written_at_once_and_runs_after_the_reboot(server: Server, runs: Packages) -> None:
    server.install(runs.driver("23.0.3"))
    result = server.run(str(runs.firmware("23.0.3")), "--full")
    output = plain(result.stdout)
    assert result.returncode == 0
    assert "[Firmware] [INFO]upgradePercentage: 0%\n" in output
    assert "[Firmware] [INFO]upgradePercentage: 100%\n" in output
    assert "[Firmware] [INFO]The firmware of [8] chips are successfully upgraded.\n" in output
    assert f"[Firmware] [INFO]Firmware package installed successfully! {TAKES_EFFECT}" in output
    assert running(server) == ["7.0.0.5.242"] * 8
    server.reboot()
    assert running(server) == ["7.1.0.5.220"] * 8


def test_version_info_names_the_firmware_and_its_hdk_release(old_server: Server, runs: Packages) -> None:
    old_server.install(runs.firmware("24.1.rc3"), "--upgrade")
    assert old_server.text(VERSION_INFO) == (
        "Version=7.5.0.1.129\nfirmware_version=1.0\npackage_version=24.1.rc3\n"
        "compatible_version_drv=[23.0.0,23.0.0.],[24.0,24.0.],[24.1,24.1.]\n"
    )


def test_both_components_stand_in_install_info(old_server: Server) -> None:
    assert old_server.text("/etc/ascend_install.info") == (
        "UserName=HwHiAiUser\nUserGroup=HwHiAiUser\nDriver_Install_Type=full\n"
        "Driver_Install_Path_Param=/usr/local/Ascend\nDriver_Install_For_All=yes\nDriver_Install_Mode=normal\n"
        "Firmware_Install_Type=full\nFirmware_Install_Path_Param=/usr/local/Ascend\n"
    )


def test_an_upgrade_says_so(old_server: Server, runs: Packages) -> None:
    code, output = old_server.install(runs.firmware("24.1.rc3"), "--upgrade")
    assert code == 0
    assert f"Firmware package upgraded successfully! {TAKES_EFFECT}" in output


def test_hot_reset_does_not_start_the_flashed_firmware(old_server: Server, runs: Packages) -> None:
    old_server.install(runs.firmware("24.1.rc3"), "--upgrade")
    assert old_server.install(runs.driver("24.1.rc3"), "--upgrade")[0] == 0
    assert running(old_server) == ["7.1.0.5.220"] * 8
    old_server.reboot()
    assert running(old_server) == ["7.5.0.1.129"] * 8


def test_firmware_comes_after_the_driver_on_a_bare_server(server: Server, runs: Packages) -> None:
    code, output = server.install(runs.firmware("23.0.3"), "--full")
    assert code == 1
    assert "please install the driver package first" in output
    assert flash(server) == ["7.0.0.5.242"] * 8
    assert not server.path(VERSION_INFO).exists()


def test_firmware_needs_a_driver_that_is_loaded(server: Server, runs: Packages) -> None:
    faults.set_fault(server.hardware, "hot_reset_failure")
    server.install(runs.driver("23.0.3"))
    code, output = server.install(runs.firmware("23.0.3"), "--full")
    assert code == 1
    assert "please check that the driver is loaded" in output
    server.reboot()
    assert server.install(runs.firmware("23.0.3"), "--full")[0] == 0


def test_what_was_flashed_runs_after_a_boot_without_a_driver_too(old_server: Server, runs: Packages) -> None:
    old_server.install(runs.firmware("23.0.7"), "--upgrade")
    old_server.run("/usr/local/Ascend/driver/script/uninstall.sh", "--quiet")
    old_server.reboot()
    assert old_server.install(runs.driver("23.0.7"))[0] == 0
    assert running(old_server) == ["7.1.0.11.220"] * 8


@pytest.mark.parametrize("user", ["kept", "gone"])
def test_it_needs_the_run_user(old_server: Server, runs: Packages, user: str) -> None:
    if user == "gone":
        old_server.run("userdel", "HwHiAiUser")
    code, output = old_server.install(runs.firmware("24.1.rc3"), "--upgrade")
    assert code == (0 if user == "kept" else 1)
    assert ("ERR_NO:0x0091;ERR_DES:HwHiAiUser not exists!" in output) == (user == "gone")


def test_it_needs_less_space_than_the_driver(old_server: Server, runs: Packages) -> None:
    faults.set_fault(old_server.hardware, "no_space", 40)
    assert old_server.install(runs.firmware("23.0.7"), "--upgrade")[0] == 0
    faults.set_fault(old_server.hardware, "no_space", 31)
    code, output = old_server.install(runs.firmware("24.1.rc3"), "--upgrade")
    assert code == 1
    assert "[ERROR]free space only 31M, cannot install firmware package (greater than 32M)" in output


def test_full_over_existing_firmware_asks(old_server: Server, runs: Packages) -> None:
    result = old_server.run(str(runs.firmware("24.1.rc3")), "--full", stdin="n\n")
    assert result.returncode == 0
    assert "the version is 7.1.0.5.220, and the version of this package is 7.5.0.1.129" in result.stdout
    assert flash(old_server) == ["7.1.0.5.220"] * 8


def test_check_is_green_and_installs_nothing(server: Server, runs: Packages) -> None:
    result = server.run(str(runs.firmware("23.0.3")), "--check")
    assert result.returncode == 0
    assert "\033[32mFirmware package preinstall_check success.\033[0m" in result.stdout
    assert "[INFO]Firmware package preinstall_check success.\n" in plain(result.stdout)
    assert not server.path(VERSION_INFO).exists()


def test_a_failure_flashes_nothing(old_server: Server, runs: Packages) -> None:
    faults.set_fault(old_server.hardware, "firmware_rc1")
    assert old_server.install(runs.firmware("24.1.rc3"), "--upgrade")[0] == 1
    assert flash(old_server) == ["7.1.0.5.220"] * 8
    assert old_server.text(VERSION_INFO).startswith("Version=7.1.0.5.220\n")


def test_it_may_end_with_2_and_be_installed(old_server: Server, runs: Packages) -> None:
    faults.set_fault(old_server.hardware, "firmware_rc2")
    assert old_server.install(runs.firmware("24.1.rc3"), "--upgrade")[0] == 2
    assert flash(old_server) == ["7.5.0.1.129"] * 8


def test_one_chip_may_be_left_out(old_server: Server, runs: Packages) -> None:
    faults.set_fault(old_server.hardware, "firmware_chip_skipped", 3)
    code, output = old_server.install(runs.firmware("24.1.rc3"), "--upgrade")
    assert code == 0
    assert "The firmware of [7] chips are successfully upgraded.\n" in output
    old_server.reboot()
    assert running(old_server) == ["7.5.0.1.129"] * 3 + ["7.1.0.5.220"] + ["7.5.0.1.129"] * 4


def test_a_power_cut_leaves_half_of_the_chips_flashed_and_the_old_version_on_disk(
    old_server: Server, runs: Packages
) -> None:
    faults.set_fault(old_server.hardware, "firmware_power_cut")
    assert old_server.install(runs.firmware("24.1.rc3"), "--upgrade")[0] not in (0, 1, 2)
    old_server.reboot()
    assert old_server.text(VERSION_INFO).startswith("Version=7.1.0.5.220\n")
    assert running(old_server) == ["7.5.0.1.129"] * 4 + ["7.1.0.5.220"] * 4
    assert old_server.install(runs.firmware("24.1.rc3"), "--upgrade")[0] == 0
    assert flash(old_server) == ["7.5.0.1.129"] * 8


def test_uninstalling_leaves_the_chips_as_they_are(old_server: Server) -> None:
    result = old_server.run("/usr/local/Ascend/firmware/script/uninstall.sh")
    assert result.returncode == 0
    assert "Firmware package uninstalled successfully!" in plain(result.stdout)
    assert not old_server.path("/usr/local/Ascend/firmware").exists()
    assert "Firmware_" not in old_server.text("/etc/ascend_install.info")
    old_server.reboot()
    assert running(old_server) == ["7.1.0.5.220"] * 8
