# SPDX-License-Identifier: Apache-2.0
"""The role's part of the one look, on a host in a folder."""

import platform

import pytest
from ansible.module_utils.hdk import look as hdk_look
from ansible.module_utils.hdk import usage as hdk_usage

from tests.unit.plugins.module_utils.scripted_host import ScriptedHost

RELEASE = {
    "driver": {"file": "driver.run", "path": "/cache/driver.run", "version": "24.1.rc3", "sha256": "0a"},
    "firmware": {"file": "firmware.run", "path": "/cache/firmware.run", "version": "7.5.0.1.129", "sha256": "0b"},
}
DPKG = "dpkg-query -W -f ${Package} ${db:Status-Status}\n "


def settings(**changes):
    wanted = {
        "packages": {platform.machine(): RELEASE},
        "chip": "910b",
        "npu_count": 2,
        "reboot": "guide",
        "allow_downgrade": False,
        "can_reboot": True,
        "os_packages": {"Debian": ["dkms", "linux-headers-{kernel}"], "RedHat": ["tar"]},
        "user": "no-such-user",
        "group": "no-such-group",
        "uid": None,
        "gid": None,
        "durations": {"driver": 180, "firmware": 120, "uninstall": 60, "reboot": 300},
    }
    return {**wanted, **changes}


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch):
    monkeypatch.setattr(hdk_usage, "_LOOKS", 1)


@pytest.fixture
def host(tmp_path):
    host = ScriptedHost(tmp_path)
    for number in range(2):
        host.chip_on_bus(number)
    return host


def test_a_bare_server_needs_packages_user_and_all_steps(host):
    seen = hdk_look.answer(settings(), host.run, "Debian", host.root)
    assert seen["problems"] == []
    headers = f"linux-headers-{platform.release()}"
    assert seen["facts"]["missing_packages"] == ["dkms", headers]
    assert seen["facts"]["components"] == ["driver", "firmware"]
    assert seen["facts"]["missing_user"]
    assert seen["pending"]["ascend_hdk"].startswith(
        f"install dkms, {headers}; make the run user no-such-user:no-such-group; install driver 24.1.rc3: "
    )


def dnf_has(host, *offered):
    """Write down what the repositories of a host of the openEuler family have."""
    host.write("var/cache/dnf/OS-2d95c80a1fa0a67d/repodata/repomd.xml", "")
    names = ["gcc", "dkms", f"kernel-headers-{platform.release()}"]
    host.answer(f"rpm -q {' '.join(names)}", "".join(f"package {name} is not installed\n" for name in names), rc=1)
    host.answer(f"rpm -q {names[-1]}", f"package {names[-1]} is not installed\n", rc=1)
    query = "dnf --quiet --cacheonly repoquery --queryformat %{name} %{name}-%{version}-%{release}.%{arch}"
    host.answer(f"{query} {' '.join(names)}", "\n".join(offered))
    host.answer(f"{query} {names[-1]}", "\n".join(offered))
    return settings(os_packages={"RedHat": ["gcc", "dkms", "kernel-headers-{kernel}"]}, optional_packages=["dkms"])


def test_a_repository_without_dkms_is_a_caution(host):
    wanted = dnf_has(host, "gcc", f"kernel-headers-{platform.release()}")
    seen = hdk_look.answer(wanted, host.run, "RedHat", host.root)
    assert seen["problems"] == []
    assert [caution.value for caution in seen["cautions"]] == ["no repository of this host has dkms"]
    assert seen["facts"]["missing_packages"] == ["gcc", f"kernel-headers-{platform.release()}"]


def test_headers_that_only_a_newer_kernel_has_are_refused_with_both_remedies(host):
    wanted = dnf_has(host, "gcc", "dkms", "kernel-headers", "kernel-headers-99.0")
    for built in (False, True):
        if built:
            host.write(f"lib/modules/{platform.release()}/build/Makefile", "")
        (problem,) = hdk_look.answer(wanted, host.run, "RedHat", host.root)["problems"]
        assert problem.check == "kernel_headers"
        assert "make the medium that this host was installed from a repository" in problem.next_step
        assert "or update the kernel, reboot, and run again" in problem.next_step
    assert problem.value == f"no repository of this host has kernel-headers-{platform.release()}"


def test_tools_that_no_repository_has_are_named_before_anything_is_touched(host):
    wanted = dnf_has(host, "dkms", f"kernel-headers-{platform.release()}")
    (problem,) = hdk_look.answer(wanted, host.run, "RedHat", host.root)["problems"]
    assert (problem.check, problem.value) == ("os_packages", "no repository of this host has gcc")


def test_users_and_packages_that_are_there_are_not_made_again(host):
    host.answer(
        f"{DPKG}dkms linux-headers-{platform.release()}",
        f"dkms installed\nlinux-headers-{platform.release()} installed\n",
    )
    seen = hdk_look.answer(settings(user="root", group="root"), host.run, "Debian", host.root)
    assert seen["pending"]["ascend_hdk"].startswith("install driver 24.1.rc3: ")


def test_a_uid_that_somebody_else_has(host):
    seen = hdk_look.answer(settings(uid=0, gid=0), host.run, "Debian", host.root)
    assert [(problem.check, problem.value) for problem in seen["problems"]] == [
        ("run_user_gid", "gid 0 belongs to root"),
        ("run_user_uid", "uid 0 belongs to root"),
    ]


def test_a_refused_plan_is_a_problem_and_nothing_pending(host):
    seen = hdk_look.answer(settings(npu_count=8), host.run, "Debian", host.root)
    assert [problem.check for problem in seen["problems"]] == ["chips"]
    assert seen["pending"] == {}


def test_a_host_of_an_architecture_without_a_package(host):
    seen = hdk_look.answer(settings(packages={"riscv64": RELEASE}), host.run, "Debian", host.root)
    assert [problem.check for problem in seen["problems"]] == ["package_architecture"]


def test_without_packages_there_is_no_wish_to_compare_with(host):
    assert hdk_look.answer(settings(packages={}), host.run, "Debian", host.root) == {
        "facts": {},
        "pending": {},
        "problems": [],
        "cautions": [],
    }


def test_a_folder_in_the_place_of_npu_smi(host, tmp_path):
    (tmp_path / "usr/local/sbin/npu-smi").mkdir(parents=True)
    (problem,) = hdk_look.answer(settings(), host.run, "Debian", host.root)["problems"]
    assert problem.value == f"{host.root}/usr/local/sbin/npu-smi is a folder"


def test_the_plan_s_line_ends_with_its_estimate(host):
    seen = hdk_look.answer(settings(), host.run, "Debian", host.root)
    assert seen["pending"]["ascend_hdk"].endswith("; about 8 to 15 min")
    assert seen["facts"]["estimate_seconds"] == 900


def test_to_uninstall_needs_no_packages(host):
    wanted = settings(state="absent", packages={})
    seen = hdk_look.answer(wanted, host.run, "Debian", host.root)
    assert (seen["pending"], seen["problems"]) == ({}, [])
    host.write("var/lib/dkms/davinci_ascend/1.0/build/make.log", "")
    seen = hdk_look.answer(wanted, host.run, "Debian", host.root)
    assert seen["pending"] == {"ascend_hdk": "clean /var/lib/dkms/davinci_ascend: no script removes it; about 1 min"}
    assert seen["facts"]["components"] == []


def test_a_container_that_could_use_the_npus_is_a_caution(host):
    host.write("dev/davinci_manager", "")
    host.write("proc/10/root/dev/davinci0", "")
    host.answer("docker ps --quiet --no-trunc", "ab\n")
    host.answer("docker inspect ab", '[{"Id": "ab", "Name": "/telechat", "State": {"Pid": 10}, "Mounts": []}]')
    seen = hdk_look.answer(settings(), host.run, "Debian", host.root)
    assert seen["problems"] == []
    (caution,) = seen["cautions"]
    assert caution.value == "telechat may use the NPUs, though no process there has one open"


def test_chips_are_asked_how_old_a_driver_may_be_only_for_an_older_one(host):
    tool = "/usr/local/Ascend/driver/tools/upgrade-tool"
    asked = f"{tool} --device_index -1 --hw_base_version"
    host.write(tool[1:], "")
    host.write("usr/local/sbin/npu-smi", "")
    host.write("usr/local/Ascend/driver/script/version_cap.map", "235,25.2.0\n")
    host.write("usr/local/Ascend/driver/version.info", "Version=23.0.3\n")
    host.answer(asked, '{"device_id":0, "hw_base_version":235}\n')
    hdk_look.answer(settings(), host.run, "Debian", host.root)
    assert asked not in host.asked
    host.write("usr/local/Ascend/driver/version.info", "Version=25.2.0\n")
    seen = hdk_look.answer(settings(allow_downgrade=True), host.run, "Debian", host.root)
    assert [problem.check for problem in seen["problems"]] == ["flash_version"]
