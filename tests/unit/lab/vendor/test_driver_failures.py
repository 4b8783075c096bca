# SPDX-License-Identifier: Apache-2.0
"""Failures in the middle of a driver's installation, and at boot."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from bare_server import WHOLE, Server, devices

from lab.vendor import faults

if TYPE_CHECKING:
    from conftest import Packages

pytestmark = pytest.mark.lab


def test_rc_1_leaves_half_an_installation_that_a_second_run_completes(server: Server, runs: Packages) -> None:
    faults.set_fault(server.hardware, "driver_rc1")
    code, output = server.install(runs.driver("23.0.3"))
    assert code == 1
    assert "[INFO]Failed to install driver package, please retry after uninstall and reboot!\n" in output
    assert server.path("/usr/local/Ascend/driver/version.info").is_file()
    assert not server.path("/usr/local/Ascend/driver/tools/upgrade-tool").exists()
    faults.clear(server.hardware)
    assert server.install(runs.driver("23.0.3"))[0] == 0


def test_a_power_cut_leaves_the_new_version_on_disk_and_no_driver_after_the_boot(
    old_server: Server, runs: Packages
) -> None:
    faults.set_fault(old_server.hardware, "driver_power_cut")
    code, output = old_server.install(runs.driver("24.1.rc3"), "--upgrade")
    assert code not in (0, 1, 2)
    assert "successfully" not in output
    old_server.reboot()
    assert old_server.text("/usr/local/Ascend/driver/version.info").startswith("Version=24.1.rc3\n")
    assert not old_server.path("/usr/local/sbin/npu-smi").exists()
    assert devices(old_server) == set()
    assert old_server.install(runs.driver("24.1.rc3"), "--upgrade")[0] == 0
    assert devices(old_server) == WHOLE


def test_another_kernel_has_no_module(old_server: Server) -> None:
    old_server.run("rm", "-r", f"/usr/lib/modules/{os.uname().release}/updates")
    old_server.reboot()
    assert devices(old_server) == set()
    assert "ret is -8005" in old_server.run("npu-smi", "info").stdout


def test_a_module_that_does_not_load(old_server: Server) -> None:
    faults.set_fault(old_server.hardware, "driver_load_failure")
    old_server.reboot()
    assert devices(old_server) == set()
    faults.clear(old_server.hardware)
    old_server.reboot()
    assert devices(old_server) == WHOLE


def test_a_chip_that_drops_out_is_gone_after_the_reboot_only(old_server: Server) -> None:
    faults.set_fault(old_server.hardware, "chip_missing_after_reboot", 6)
    assert devices(old_server) == WHOLE
    old_server.reboot()
    assert devices(old_server) == WHOLE - {"davinci6"}
    assert old_server.run("lspci", "-n", "-d", "19e5:d802").stdout.count("\n") == 7
    assert "| 6     910B2" not in old_server.run("npu-smi", "info").stdout
