# SPDX-License-Identifier: Apache-2.0

import pytest
from ansible.module_utils.kernel_drift import (
    NextKernel,
    Verdict,
    Work,
    dkms_version,
    judge,
    look_at_next_kernel,
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


def look(host):
    return look_at_next_kernel(host.run, "RedHat", host.root, RUNNING)


def test_the_running_kernel_is_the_next_one_by_default(host):
    assert look(host).release == RUNNING


def test_where_no_kernel_is_on_disk_the_running_one_stands_for_the_next(tmp_path):
    assert look(ScriptedHost(tmp_path)).release == RUNNING


def test_another_kernel_without_a_module(host):
    add_kernel(host)
    assert look(host) == NextKernel(running=RUNNING, release=NEXT, module=False, headers=False, dkms_version=None)


def test_another_kernel_that_has_everything(host):
    add_kernel(host)
    host.write(f"lib/modules/{NEXT}/updates/drv_pcie_host.ko.xz", "")
    host.write(f"usr/src/kernels/{NEXT}/Makefile", "")
    host.link(f"lib/modules/{NEXT}/build", f"/usr/src/kernels/{NEXT}")
    host.link("var/lib/dkms/davinci_ascend/1.0/source", "/usr/src/davinci_ascend-1.0")
    assert look(host) == NextKernel(running=RUNNING, release=NEXT, module=True, headers=True, dkms_version="1.0")


def test_a_kernel_that_is_asked_back_is_next_too(host):
    add_kernel(host)
    host.answer("grubby --default-kernel", f"/boot/vmlinuz-{RUNNING}\n")
    assert look(host).release == RUNNING


def test_the_version_built_for_the_kernel_wins_over_a_newer_one(host):
    for version in ("1.0", "1.2", "1.10"):
        host.link(f"var/lib/dkms/davinci_ascend/{version}/source", f"/usr/src/davinci_ascend-{version}")
    assert dkms_version(RUNNING, host.root) == "1.10"
    host.write(f"var/lib/dkms/davinci_ascend/1.2/{RUNNING}/aarch64/module/drv_pcie_host.ko", "")
    assert dkms_version(RUNNING, host.root) == "1.2"


def test_a_leftover_without_source_is_not_registered(host):
    host.write("var/lib/dkms/davinci_ascend/1.0/build/make.log", "")
    assert dkms_version(RUNNING, host.root) is None


def next_one(**changes):
    settings = {"running": RUNNING, "release": NEXT, "module": False, "headers": True, "dkms_version": "1.0"}
    return NextKernel(**{**settings, **changes})


STAYS = Work(installs_driver=False, reboots=False)
REBOOTS = Work(installs_driver=False, reboots=True)
INSTALLS = Work(installs_driver=True, reboots=True)


@pytest.mark.parametrize(
    ("version", "step"), [("1.0", "playbooks/rebuild.yml"), (None, "not under DKMS, so that only its installer")]
)
def test_the_caution_names_both_kernels_and_what_helps(version, step):
    verdict = judge(next_one(dkms_version=version), "warn", STAYS, has_driver=True, headers="present")
    assert verdict == Verdict(caution=verdict.caution)
    assert f"kernel {NEXT} boots next (now {RUNNING})" in verdict.caution.value
    assert step in verdict.caution.next_step


@pytest.mark.parametrize("policy", ["warn", "rebuild"])
@pytest.mark.parametrize(
    ("changes", "has_driver"), [({"release": RUNNING}, True), ({"module": True}, True), ({"module": False}, False)]
)
def test_nothing_to_say(policy, changes, has_driver):
    assert judge(next_one(**changes), policy, REBOOTS, has_driver=has_driver, headers="missing") == Verdict()


@pytest.mark.parametrize("work", [REBOOTS, INSTALLS])
def test_a_reboot_that_would_lose_the_npus_is_refused_unless_a_module_is_asked_for(work):
    refused = judge(next_one(), "warn", work, has_driver=True, headers="present")
    assert refused == Verdict(problem=refused.problem)
    assert f"boot {NEXT} first" in refused.problem.next_step
    assert "ascend_hdk_next_kernel: rebuild" in refused.problem.next_step
    built = judge(next_one(), "rebuild", work, has_driver=True, headers="installable")
    assert built == Verdict(build=f"build the driver module for kernel {NEXT}, which boots next")


def test_a_new_driver_takes_the_old_ones_modules_away():
    old_module = next_one(module=True)
    assert judge(old_module, "warn", INSTALLS, has_driver=True, headers="present").problem
    assert judge(old_module, "rebuild", INSTALLS, has_driver=True, headers="present").build


def test_a_first_driver_has_a_module_for_the_running_kernel_alone():
    bare = next_one(dkms_version=None)
    assert judge(bare, "warn", INSTALLS, has_driver=False, headers="present").problem
    assert judge(bare, "rebuild", INSTALLS, has_driver=False, headers="present").build


def test_a_driver_that_dkms_does_not_know_is_not_rebuilt():
    direct = next_one(dkms_version=None)
    assert "only its installer" in judge(direct, "rebuild", STAYS, has_driver=True, headers="present").caution.next_step
    refused = judge(direct, "rebuild", REBOOTS, has_driver=True, headers="present").problem
    assert "rebuild" not in refused.next_step
    assert f"boot {NEXT} first" in refused.next_step


def test_no_headers_no_build():
    problem = judge(next_one(headers=False), "rebuild", STAYS, has_driver=True, headers="missing").problem
    assert f"no headers of kernel {NEXT}" in problem.value
