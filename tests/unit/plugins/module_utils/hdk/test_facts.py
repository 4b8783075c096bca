# SPDX-License-Identifier: Apache-2.0
"""The look at a host: files in a folder, npu-smi in the words of the vendor."""

import json
import os

import pytest
from ansible.module_utils.hdk import facts as hdk_facts
from ansible.module_utils.hdk.state import Component

from tests.unit.plugins.module_utils.scripted_host import BOOT_ID, ScriptedHost

VERSION_INFO = "usr/local/Ascend/driver/version.info"
SMI = "/usr/local/sbin/npu-smi"


@pytest.fixture
def host(tmp_path):
    return ScriptedHost(tmp_path)


def test_bus_counts_chips_and_no_other_devices_of_the_vendor(host):
    for number in range(8):
        host.chip_on_bus(number)
    host.chip_on_bus(8, device="0xa222")
    host.chip_on_bus(9, device="0xd802", vendor="0x8086")
    host.chip_on_bus(10, device="0xd801")
    assert hdk_facts.bus_devices(host.root) == ["d802"] * 8 + ["d801"]


def test_a_server_without_a_bus(host):
    assert hdk_facts.bus_devices(host.root) == []


INFO = {
    "UserName": "HwHiAiUser",
    "UserGroup": "HwHiAiUser",
    "Driver_Install_Path_Param": "/usr/local/Ascend",
    "Driver_Install_For_All": "yes",
}


def install_driver(host, version="24.1.rc3", home="usr/local/Ascend"):
    host.write(f"{home}/driver/tools/upgrade-tool", "")
    host.write(f"{home}/driver/script/uninstall.sh", "")
    host.write(SMI[1:], "")
    return host.write(f"{home}/driver/version.info", f"Version={version}\n")


def driver(host, info=INFO, **options):
    return hdk_facts.component("driver", info, host.root, **options)


def test_nothing_installed(host):
    assert driver(host, {}) == Component(None, False, False, False)


def test_a_whole_driver_installed_by_hand(host):
    os.utime(install_driver(host))
    host.write("proc/stat", "btime 99999999999\n")
    assert driver(host) == Component("24.1.rc3", False, False, False, named=True, script=True)
    host.write("proc/stat", "btime 1700000000\n")
    assert driver(host).written_this_boot


def test_a_driver_in_another_folder(host):
    install_driver(host, home="opt/Ascend")
    found = driver(host, dict(INFO, Driver_Install_Path_Param="/opt/Ascend/"))
    assert (found.on_disk, found.home, found.script) == ("24.1.rc3", "/opt/Ascend", True)


def test_a_folder_that_is_named_and_not_there_counts_for_nothing(host):
    install_driver(host)
    assert driver(host, dict(INFO, Driver_Install_Path_Param="/opt/Ascend")).home == "/usr/local/Ascend"


def test_what_the_install_info_lost_is_still_uninstalled_by_its_own_script(host):
    install_driver(host)
    found = driver(host, {})
    assert (found.named, found.script) == (False, True)


@pytest.mark.parametrize(
    ("gone", "missing"),
    [
        ("usr/local/Ascend/driver/tools/upgrade-tool", ("upgrade-tool",)),
        (SMI[1:], ("npu-smi",)),
        (VERSION_INFO, ("version.info",)),
    ],
)
def test_a_driver_cut_short_of_which_nothing_was_recorded(host, tmp_path, gone, missing):
    install_driver(host)
    (tmp_path / gone).unlink()
    assert driver(host).missing == missing


def test_a_driver_that_calls_itself_incomplete(host):
    install_driver(host)
    assert driver(host, dict(INFO, Driver_Install_Status="complete")).missing == ()
    assert driver(host, dict(INFO, Driver_Install_Status="begun")).missing == ("Driver_Install_Status=complete",)
    assert driver(host, complete=False).missing == ("Driver_Install_Status=complete",)


def record(host, **entry):
    host.write("var/lib/ascend-hdk/record.json", json.dumps({"driver": dict({"action": "install"}, **entry)}))


def test_the_record_tells_the_boot_of_an_installation(host):
    install_driver(host)
    record(host, version="24.1.rc3", boot_id=BOOT_ID, finished=True, reboot_owed=True)
    assert driver(host) == Component("24.1.rc3", True, False, True, named=True, script=True)
    record(host, version="24.1.rc3", boot_id="another boot", finished=True, reboot_owed=True)
    assert driver(host) == Component("24.1.rc3", False, False, False, named=True, script=True)


def test_a_record_of_another_version_is_out_of_date(host):
    install_driver(host, "25.2.0")
    record(host, version="24.1.rc3", boot_id=BOOT_ID, finished=True, reboot_owed=True)
    assert driver(host).reboot_owed is False


def test_an_installation_that_did_not_finish(host):
    record(host, version="24.1.rc3", boot_id="another boot", finished=False, reboot_owed=True)
    assert driver(host, {}) == Component(None, False, True, False)


@pytest.mark.parametrize(("boot", "removed"), [(BOOT_ID, True), ("another boot", False)])
def test_the_record_tells_the_boot_of_a_removal(host, boot, removed):
    record(host, action="uninstall", version="24.1.rc3", boot_id=boot, finished=True, reboot_owed=True)
    assert driver(host, {}) == Component(None, False, False, removed, removed=removed)


def test_a_removal_that_was_undone_by_hand_is_out_of_date(host):
    install_driver(host)
    record(host, action="uninstall", version="24.1.rc3", boot_id=BOOT_ID, finished=True, reboot_owed=True)
    found = driver(host)
    assert (found.removed, found.reboot_owed, found.written_this_boot) == (False, False, True)


def test_a_version_info_cut_short_is_no_installation(host):
    host.write(VERSION_INFO, "Vers")
    assert driver(host, {}).on_disk is None


def test_a_broken_record_is_as_none(host):
    install_driver(host)
    host.write("var/lib/ascend-hdk/record.json", "{broken")
    assert driver(host).on_disk == "24.1.rc3"


HEADERS = ["linux-headers-{kernel}"]
QUERY = "dpkg-query -W -f ${Package} ${db:Status-Status}\n linux-headers-6.1.0"


def test_headers_that_are_there(host, tmp_path):
    (tmp_path / "lib/modules/6.1.0/build").mkdir(parents=True)
    assert hdk_facts.kernel_headers(host.run, "Debian", HEADERS, "6.1.0", host.root) == ("present", None)


@pytest.mark.parametrize(
    ("policy", "expected"),
    [("  Candidate: 6.1.0-1\n", "installable"), ("  Candidate: (none)\n", "missing"), ("", "missing")],
)
def test_headers_that_apt_may_know(host, policy, expected):
    host.write("var/lib/apt/lists/deb.example_dists_stable_main_Packages", "")
    host.answer(QUERY, rc=1)
    host.answer("apt-cache policy linux-headers-6.1.0", f"linux-headers-6.1.0:\n  Installed: (none)\n{policy}")
    assert hdk_facts.kernel_headers(host.run, "Debian", HEADERS, "6.1.0", host.root) == (expected, None)


def test_headers_before_the_first_apt_update(host):
    host.answer(QUERY, rc=1)
    assert hdk_facts.kernel_headers(host.run, "Debian", HEADERS, "6.1.0", host.root) == ("unknown", None)


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("include/config/kernel.release", "{}\n"),
        ("include/generated/utsrelease.h", '#define UTS_RELEASE "{}"\n'),
    ],
)
def test_headers_say_whose_they_are(host, file, text):
    host.write(f"lib/modules/6.1.0/build/{file}", text.format("6.1.0"))
    assert hdk_facts.kernel_headers(host.run, "Debian", HEADERS, "6.1.0", host.root) == ("present", "6.1.0")
    host.write(f"lib/modules/6.1.0/build/{file}", text.format("6.8.0"))
    assert hdk_facts.kernel_headers(host.run, "Debian", HEADERS, "6.1.0", host.root) == ("other", "6.8.0")


def test_headers_that_are_a_link_to_nothing(host):
    host.link("lib/modules/6.1.0/build", "/usr/src/linux-headers-6.1.0-gone")
    host.answer(QUERY, "linux-headers-6.1.0 installed\n")
    assert hdk_facts.kernel_headers(host.run, "Debian", HEADERS, "6.1.0", host.root) == ("missing", None)
