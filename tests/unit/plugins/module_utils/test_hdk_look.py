# SPDX-License-Identifier: Apache-2.0
"""The role's part of the one look, on a host in a folder."""

import platform

import pytest
from ansible.module_utils import hdk_look

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
    }
    return {**wanted, **changes}


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
