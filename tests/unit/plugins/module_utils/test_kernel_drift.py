# SPDX-License-Identifier: Apache-2.0

import pytest
from ansible.module_utils.kernel_drift import (
    KernelDrift,
    dkms_version,
    drift_caution,
    has_headers,
    look_at_drift,
    module_file,
)

from tests.unit.plugins.module_utils.scripted_host import ScriptedHost

RUNNING, NEXT = "5.10.0-60.18.0.50.oe2203.aarch64", "5.10.0-216.0.0.115.oe2203.aarch64"


@pytest.fixture
def host(tmp_path):
    host = ScriptedHost(tmp_path)
    host.write(f"boot/vmlinuz-{RUNNING}", "")
    return host


def add_kernel(host, release=NEXT):
    host.write(f"boot/vmlinuz-{release}", "")
    host.write(f"lib/modules/{release}/modules.order", "")


def drift(host):
    return look_at_drift(host.run, "RedHat", host.root, RUNNING)


def test_no_drift_while_the_running_kernel_boots_next(host):
    assert drift(host) is None


def test_another_kernel_without_a_module(host):
    add_kernel(host)
    assert drift(host) == KernelDrift(running=RUNNING, next=NEXT, module=False, headers=False, dkms_version=None)


def test_another_kernel_that_has_everything(host):
    add_kernel(host)
    host.write(f"lib/modules/{NEXT}/updates/drv_pcie_host.ko.xz", "")
    host.write(f"usr/src/kernels/{NEXT}/Makefile", "")
    host.link(f"lib/modules/{NEXT}/build", f"/usr/src/kernels/{NEXT}")
    host.link("var/lib/dkms/davinci_ascend/1.0/source", "/usr/src/davinci_ascend-1.0")
    assert drift(host) == KernelDrift(running=RUNNING, next=NEXT, module=True, headers=True, dkms_version="1.0")


def test_a_kernel_that_is_asked_back_is_next_too(host):
    add_kernel(host)
    host.answer("grubby --default-kernel", f"/boot/vmlinuz-{RUNNING}\n")
    assert drift(host) is None


@pytest.mark.parametrize(
    "path",
    ["updates/dkms/drv_pcie_host.ko", "updates/drv_pcie_host.ko.zst", "extra/ascend/drv_pcie_host.ko.gz"],
)
def test_modules_are_found_where_installers_put_them(host, path):
    host.write(f"lib/modules/{NEXT}/{path}", "")
    assert module_file(NEXT, host.root).endswith(path)


@pytest.mark.parametrize("path", ["updates/drv_pcie_hdc_host.ko", "updates/drv_pcie_host.ko.bak", "drv_pcie_host.ko"])
def test_other_files_are_no_module(host, path):
    host.write(f"lib/modules/{NEXT}/{path}", "")
    assert module_file(NEXT, host.root) is None


def test_a_weak_update_counts_as_long_as_its_target_is_there(host):
    name = f"lib/modules/{RUNNING}/extra/drv_pcie_host.ko"
    module = host.write(name, "")
    host.link(f"lib/modules/{NEXT}/weak-updates/drv_pcie_host.ko", f"/{name}")
    assert module_file(NEXT, host.root)
    module.unlink()
    assert module_file(NEXT, host.root) is None


def test_headers_whose_link_leads_nowhere_are_none(host):
    host.link(f"lib/modules/{NEXT}/build", f"/usr/src/linux-headers-{NEXT}")
    assert not has_headers(NEXT, host.root)


def test_the_version_built_for_the_kernel_wins_over_a_newer_one(host):
    for version in ("1.0", "1.2", "1.10"):
        host.link(f"var/lib/dkms/davinci_ascend/{version}/source", f"/usr/src/davinci_ascend-{version}")
    assert dkms_version(RUNNING, host.root) == "1.10"
    host.write(f"var/lib/dkms/davinci_ascend/1.2/{RUNNING}/aarch64/module/drv_pcie_host.ko", "")
    assert dkms_version(RUNNING, host.root) == "1.2"


def test_a_leftover_without_source_is_not_registered(host):
    host.write("var/lib/dkms/davinci_ascend/1.0/build/make.log", "")
    assert dkms_version(RUNNING, host.root) is None


@pytest.mark.parametrize(
    ("version", "step"), [("1.0", "playbooks/rebuild.yml"), (None, "only its installer makes the module")]
)
def test_the_caution_names_both_kernels_and_what_helps(version, step):
    drift = KernelDrift(running=RUNNING, next=NEXT, module=False, headers=True, dkms_version=version)
    caution = drift_caution(drift)
    assert NEXT in caution.value
    assert RUNNING in caution.value
    assert step in caution.next_step
