# SPDX-License-Identifier: Apache-2.0
"""What the one look says of the kernel that boots next, on a host in a folder."""

import platform

import pytest
from ansible.module_utils.hdk import look as hdk_look

from tests.unit.plugins.module_utils.hdk.test_look import settings
from tests.unit.plugins.module_utils.scripted_host import ScriptedHost

RUNNING, NEXT = platform.release(), "999.0.0-1-amd64"
APT_CACHE = f"apt-cache policy linux-headers-{NEXT}"


@pytest.fixture
def host(tmp_path):
    host = ScriptedHost(tmp_path)
    for number in range(2):
        host.chip_on_bus(number)
    for kernel in (RUNNING, NEXT):
        host.write(f"boot/vmlinuz-{kernel}", "")
    return host


@pytest.fixture
def installed(host):
    """Driver and firmware are there, and all chips run them."""
    host.write("usr/local/Ascend/driver/version.info", "Version=24.1.rc3\n")
    host.write("usr/local/Ascend/driver/tools/upgrade-tool", "")
    host.write("usr/local/Ascend/firmware/version.info", "Version=7.5.0.1.129\n")
    host.write("usr/local/sbin/npu-smi", "")
    host.write("proc/stat", "cpu 1 2 3\nbtime 9900000000\n")
    host.write(f"lib/modules/{RUNNING}/updates/drv_pcie_host.ko", "")
    host.link("var/lib/dkms/davinci_ascend/1.0/source", "/usr/src/davinci_ascend-1.0")
    rows = "".join(
        f"| {npu}     910B4               | OK            | 87.2        33                0    / 0             |\n"
        f"| 0                         | 0000:C1:00.0  | 0           0    / 0          2654 / 32768         |\n"
        for npu in range(2)
    )
    host.answer("/usr/local/sbin/npu-smi info", rows)
    for npu in range(2):
        board = "\tSoftware Version : 24.1.rc3\n\tFirmware Version : 7.5.0.1.129\n\tCompatibility : OK\n"
        host.answer(f"/usr/local/sbin/npu-smi info -t board -i {npu}", board)
    return host


def look(host, **changes):
    return hdk_look.answer(settings(**changes), host.run, "Debian", host.root)


def test_a_converged_server_is_told_of_and_left_alone(installed):
    seen = look(installed)
    assert (seen["pending"], seen["problems"]) == ({}, [])
    (caution,) = seen["cautions"]
    assert caution.check == "kernel_drift"
    assert caution.value == f"kernel {NEXT} boots next (now {RUNNING}), and the driver has no module for it"


def test_a_build_that_is_asked_for_is_the_role_s_work(installed):
    seen = look(installed, next_kernel="rebuild")
    assert seen["pending"] == {"ascend_hdk": f"build the driver module for kernel {NEXT}, which boots next"}
    assert (seen["problems"], seen["cautions"], seen["facts"]["plan"]) == ([], [], [])
    assert seen["facts"]["builds_module"]


def test_with_a_module_for_the_next_kernel_all_is_done(installed):
    installed.write(f"lib/modules/{NEXT}/updates/dkms/drv_pcie_host.ko.zst", "")
    seen = look(installed, next_kernel="rebuild")
    assert (seen["pending"], seen["problems"], seen["cautions"]) == ({}, [], [])


def test_a_plan_that_would_reboot_into_it_is_refused(host):
    (problem,) = look(host)["problems"]
    assert problem.check == "kernel_drift"
    assert f"boot {NEXT} first" in problem.next_step


def test_a_plan_that_may_build_says_so_before_its_estimate(host):
    seen = look(host, next_kernel="rebuild")
    assert seen["problems"] == []
    assert f"; build the driver module for kernel {NEXT}, which boots next; about " in seen["pending"]["ascend_hdk"]


@pytest.mark.parametrize(("candidate", "problems"), [("1", []), ("(none)", ["kernel_drift"])])
def test_headers_that_no_repository_has_forbid_the_build(installed, candidate, problems):
    installed.write("var/lib/apt/lists/mirror_Packages", "")
    installed.answer(APT_CACHE, f"linux-headers-{NEXT}:\n  Candidate: {candidate}\n")
    seen = look(installed, next_kernel="rebuild")
    assert [problem.check for problem in seen["problems"]] == problems


def test_nobody_asks_for_headers_without_need(installed):
    look(installed)
    assert APT_CACHE not in installed.asked


def test_a_server_that_is_to_lose_its_driver_needs_no_module(installed):
    assert look(installed, state="absent", packages={})["cautions"] == []


def test_packages_that_a_killed_run_left_are_removed_by_the_next(installed):
    installed.write(f"lib/modules/{NEXT}/updates/dkms/drv_pcie_host.ko.zst", "")
    installed.write("var/lib/ascend-hdk/packages/driver.run", "")
    seen = look(installed, discard="/var/lib/ascend-hdk/packages")
    assert seen["pending"] == {"ascend_hdk": "remove driver.run, left in /var/lib/ascend-hdk/packages"}
    assert seen["facts"]["without_steps"]
    assert look(installed, discard="")["pending"] == {}
    assert look(installed, discard="/var/lib/ascend-hdk/none")["pending"] == {}
