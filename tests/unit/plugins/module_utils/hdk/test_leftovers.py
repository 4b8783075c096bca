# SPDX-License-Identifier: Apache-2.0
"""What of a driver lies outside its folder."""

import re

import pytest
from ansible.module_utils.hdk import leftovers as hdk_leftovers
from ansible.module_utils.hdk.clean import REMOVABLE
from ansible.module_utils.hdk.state import Component

from tests.unit.plugins.module_utils.scripted_host import ScriptedHost

KERNEL = "5.10.0"
NONE = Component(None, False, False, False)
WHOLE = Component("24.1.rc3", False, False, False, named=True, script=True)


@pytest.fixture
def host(tmp_path):
    return ScriptedHost(tmp_path)


@pytest.mark.parametrize(
    "path", ["updates/dkms/drv_pcie_host.ko", "updates/drv_pcie_host.ko.xz", "extra/davinci/drv_pcie_host.ko.zst"]
)
def test_a_module_of_this_kernel_alone_counts(host, path):
    host.write(f"lib/modules/6.8.0/{path}", "")
    assert hdk_leftovers.driver_modules(KERNEL, host.root) == []
    host.write(f"lib/modules/{KERNEL}/{path}", "")
    assert len(hdk_leftovers.driver_modules(KERNEL, host.root)) == 1


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ([], "none"),
        (["1.0/build/make.log"], "failed"),
        (["1.0/5.10.0/aarch64/module/drv_pcie_host.ko"], "built"),
        (["1.0/5.10.0/aarch64/module/drv_pcie_host.ko.xz", "1.0/build/make.log"], "failed"),
        (["1.0/source/dkms.conf"], "failed"),
    ],
)
def test_what_a_dkms_tree_tells(host, files, expected):
    for name in files:
        host.write(f"var/lib/dkms/davinci_ascend/{name}", "")
    assert hdk_leftovers.dkms_tree(host.root) == expected


@pytest.mark.parametrize("path", ["sys/module/drv_pcie_host/refcnt", "dev/davinci_manager"])
def test_a_loaded_driver_shows(host, path):
    assert not hdk_leftovers.driver_loaded(host.root)
    host.write(path, "")
    assert hdk_leftovers.driver_loaded(host.root)


FILES = [
    "var/lib/dkms/davinci_ascend/1.0/build/make.log",
    "usr/src/davinci_ascend-1.0/dkms.conf",
    "usr/local/sbin/npu-smi",
    "lib/modules/5.10.0/updates/dkms/drv_pcie_host.ko",
    "lib/modules/5.10.0/extra/drv_devmm.ko.xz",
    "etc/systemd/system/host_sys_init.service",
    "etc/init.d/host_sys_init.sh",
    "etc/rc.d/init.d/host_sys_init",
    "etc/init.d/ssh",
    "etc/rc5.d/S01host_sys_init.sh",
    "lib/modules/5.10.0/updates/asdrv_dms.ko",
    "lib/modules/5.10.0/updates/ts_agent.ko",
    "lib/modules/5.10.0/updates/ts_other.ko",
    "usr/local/Ascend/host_servers_remove.sh",
    "usr/local/Ascend/other.sh",
    "usr/bin/device_boot_init.sh",
    "etc/custom_process.cfg",
    "etc/vnpu.cfg",
    "usr/local/dcmi/libdcmi.so",
    "usr/local/Ascend/driver/version.info",
    "usr/local/Ascend/firmware/version.info",
    "etc/ascend_install.info",
    "etc/hccn.conf",
    "usr/local/Ascend/ascend-toolkit/version.info",
    "lib/modules/5.10.0/updates/dkms/other.ko",
]


def test_without_a_script_everything_of_the_driver_is_left_and_nothing_else(host):
    for name in FILES:
        host.write(name, "")
    found = hdk_leftovers.leftovers(NONE, NONE, host.root)
    assert set(found) == {
        "/var/lib/dkms/davinci_ascend",
        "/usr/src/davinci_ascend-1.0",
        "/usr/local/sbin/npu-smi",
        "/lib/modules/5.10.0/updates/dkms/drv_pcie_host.ko",
        "/lib/modules/5.10.0/extra/drv_devmm.ko.xz",
        "/etc/systemd/system/host_sys_init.service",
        "/etc/init.d/host_sys_init.sh",
        "/etc/rc.d/init.d/host_sys_init",
        "/etc/rc5.d/S01host_sys_init.sh",
        "/lib/modules/5.10.0/updates/asdrv_dms.ko",
        "/lib/modules/5.10.0/updates/ts_agent.ko",
        "/usr/local/Ascend/host_servers_remove.sh",
        "/usr/bin/device_boot_init.sh",
        "/etc/custom_process.cfg",
        "/usr/local/dcmi",
        "/usr/local/Ascend/driver",
        "/usr/local/Ascend/firmware",
        "/etc/ascend_install.info",
    }
    assert all(any(re.fullmatch(pattern, path) for pattern in REMOVABLE) for path in found)


def test_what_a_script_takes_is_not_left(host):
    for name in FILES:
        host.write(name, "")
    assert hdk_leftovers.leftovers(WHOLE, WHOLE, host.root) == ()
    assert hdk_leftovers.leftovers(WHOLE, NONE, host.root) == ("/usr/local/Ascend/firmware",)


@pytest.mark.parametrize("named", [True, False])
def test_an_install_info_is_left_that_names_no_component_with_a_script(host, named):
    host.write("etc/ascend_install.info", "UserName=ascend\n")
    firmware = Component("7.5.0.1.129", False, False, False, named=named, script=True)
    left = hdk_leftovers.leftovers(NONE, firmware, host.root)
    assert ("/etc/ascend_install.info" in left) is not named


def test_an_empty_folder_is_in_nobody_s_way_but_in_a_program_s_place(host, tmp_path):
    (tmp_path / "usr/local/Ascend/driver").mkdir(parents=True)
    (tmp_path / "usr/local/bin/npu-smi").mkdir(parents=True)
    assert hdk_leftovers.leftovers(NONE, NONE, host.root) == ("/usr/local/bin/npu-smi",)


def test_a_bare_host_has_none(host):
    assert hdk_leftovers.leftovers(NONE, NONE, host.root) == ()
