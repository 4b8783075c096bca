# SPDX-License-Identifier: Apache-2.0
"""What the driver's .run needs, and how it refuses."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from bare_server import Server, board, devices, plain

from lab.vendor import faults

if TYPE_CHECKING:
    from conftest import Packages

pytestmark = pytest.mark.lab

HEADERS = f"/usr/lib/modules/{os.uname().release}/build"
DKMS_TREE = "/var/lib/dkms/davinci_ascend"


def test_no_run_user(server: Server, runs: Packages) -> None:
    server.run("userdel", "HwHiAiUser")
    code, output = server.install(runs.driver("23.0.3"))
    assert code == 1
    assert "ERR_NO:0x0091;ERR_DES:HwHiAiUser not exists! Please add HwHiAiUser\n" in output
    assert not server.path("/usr/local/Ascend").exists()


def test_run_user_not_in_its_group(server: Server, runs: Packages) -> None:
    server.run("groupadd", "strangers")
    code, output = server.install(
        runs.driver("23.0.3"), "--full", "--install-username=HwHiAiUser", "--install-usergroup=strangers"
    )
    assert code == 1
    assert "ERR_NO:0x0096;ERR_DES:" in output
    assert "strangers not right! Please check the relatianship of HwHiAiUser and strangers\n" in output


def test_another_run_user_than_last_time(old_server: Server, runs: Packages) -> None:
    old_server.run("useradd", "-U", "other")
    user = ("--install-username=other", "--install-usergroup=other")
    code, output = old_server.install(runs.driver("24.1.rc3"), "--full", *user)
    assert code == 1
    assert (
        "[ERROR]ERR_NO:0x0095;ERR_DES:The user and group are not same with last installation,do not support" in output
    )


def test_installed_as_root_before_means_upgrade_now(server: Server, runs: Packages) -> None:
    root = ("--install-username=root", "--install-usergroup=root", "--install-for-all")
    assert server.install(runs.driver("23.0.3"), "--full", *root)[0] == 0
    code, output = server.install(runs.driver("24.1.rc3"), "--full")
    assert code == 1
    words = "username not permission for root (except install-for-all scene), check /etc/ascend_install.info"
    assert f"ERR_NO:0x0091;ERR_DES:{words}\n" in output
    assert server.install(runs.driver("24.1.rc3"), "--upgrade")[0] == 0


def test_not_root(server: Server, runs: Packages) -> None:
    copied = server.run("install", "-m755", str(runs.driver("23.0.3")), "/var/driver.run")
    assert copied.returncode == 0
    result = server.run("/var/driver.run", "--full", "--quiet", user="65534")
    assert result.returncode == 1
    assert "ERR_NO:0x0093;ERR_DES:do not have root permission" in plain(result.stdout)


@pytest.mark.parametrize(
    ("hidden", "named"),
    [(["lspci", "ifconfig"], "lspci,ifconfig,"), (["ifconfig"], "ifconfig,"), (["lspci"], "lspci,")],
)
def test_missing_tools_are_named(server: Server, runs: Packages, hidden: list[str], named: str) -> None:
    for tool in hidden:
        server.hide(tool)
    code, output = server.install(runs.driver("23.0.3"))
    assert code == 1
    assert f"[ERROR]The list of missing tools: {named}\n" in output
    assert not server.path("/usr/local/Ascend").exists()


def test_no_space(server: Server, runs: Packages) -> None:
    faults.set_fault(server.hardware, "no_space", 120)
    code, output = server.install(runs.driver("23.0.3"))
    assert code == 1
    assert "[ERROR]free space only 120M, cannot install driver package (greater than 300M)" in output
    assert not server.path("/usr/local/Ascend").exists()


def test_another_architecture(server: Server, runs: Packages) -> None:
    other = "aarch64" if os.uname().machine == "x86_64" else "x86-64"
    code, output = server.install(runs.driver("23.0.3", other))
    assert code == 1
    assert "[ERROR]Arch mismatch, src package is " in output


@pytest.mark.parametrize("tool", ["dkms", "gcc", "make", "headers"])
def test_a_module_that_cannot_be_built(server: Server, runs: Packages, tool: str) -> None:
    if tool == "headers":
        server.run("rmdir", HEADERS)
    else:
        server.hide(tool)
    code, output = server.install(runs.driver("23.0.3"))
    assert code == 1
    assert "[ERROR]Dkms install failed, details in : var/log/ascend_seclog/ascend_install.log\n" in output
    assert "[ERROR]Driver_ko_install failed\n" in output
    assert "[INFO]Failed to install driver package, please retry after uninstall and reboot!\n" in output
    log = server.text("/var/log/ascend_seclog/ascend_install.log")
    assert (HEADERS.replace("/usr", "", 1) if tool == "headers" else f"{tool}: command not found") in log
    assert devices(server) == set()


@pytest.mark.parametrize("cure", ["remove", "uninstall"])
def test_the_tree_of_a_failed_build_must_go_before_the_next_one(server: Server, runs: Packages, cure: str) -> None:
    faults.set_fault(server.hardware, "dkms_failure")
    assert server.install(runs.driver("23.0.3"))[0] == 1
    faults.clear(server.hardware)
    assert server.path(DKMS_TREE).is_dir()
    assert server.install(runs.driver("23.0.3"))[0] == 1
    if cure == "remove":
        server.run("rm", "-r", DKMS_TREE)
    else:
        assert server.run("/usr/local/Ascend/driver/script/uninstall.sh").returncode == 0
    assert server.install(runs.driver("23.0.3"))[0] == 0
    assert board(server)["Software Version"] == "23.0.3"


def test_two_at_once(server: Server, runs: Packages) -> None:
    faults.set_fault(server.hardware, "slow_install", 60)
    first = server.start(str(runs.driver("23.0.3")), "--full", "--quiet")
    server.wait_for(first, "upgradePercentage:10%")
    code, output = server.install(runs.driver("23.0.3"))
    assert code == 1
    assert "ERR_NO:0x0094;ERR_DES:There is already a process being executed" in output


def test_occupied_chips_are_refused(old_server: Server, runs: Packages) -> None:
    holder = old_server.start("sh", "-c", "exec 3</dev/davinci5; echo held; read stop")
    old_server.wait_for(holder, "held")
    code, output = old_server.install(runs.driver("24.1.rc3"), "--upgrade")
    assert code == 1
    words = "The davinci nodes are occupied by some processes, please stop processes and install or uninstall again"
    assert f"[ERROR]{words}\n" in output
    assert old_server.text("/usr/local/Ascend/driver/version.info").startswith("Version=23.0.3\n")
    holder.communicate("stop\n")
    assert old_server.install(runs.driver("24.1.rc3"), "--upgrade")[0] == 0


@pytest.mark.parametrize("device", ["davinci_manager", "devmm_svm", "hisi_hdc"])
def test_what_all_chips_share_is_refused_too_and_by_older_releases(
    old_server: Server, runs: Packages, device: str
) -> None:
    holder = old_server.start("sh", "-c", f"exec 3</dev/{device}; echo held; read stop")
    old_server.wait_for(holder, "held")
    code, output = old_server.install(runs.driver("23.0.7"), "--upgrade")
    assert (code, "The davinci nodes are occupied" in output) == (1, True)
    assert board(old_server)["Software Version"] == "23.0.3"


DOCKER = """#!/bin/sh
case "$1" in
  ps) echo 0a1b2c ;;
  inspect) cat /var/inspected ;;
esac
"""
DEVICES = '[{"HostConfig": {"Devices": [{"PathOnHost": "/dev/davinci_manager"}]}}]'
LABEL = '[{"Config": {"Labels": {"any": "about /dev/davinci_manager"}}}]'
PRIVILEGED = '[{"HostConfig": {"Privileged": true, "Devices": []}}]'


def docker_shows(server: Server, text: str) -> None:
    """Let docker have one running container, of which it gives this text."""
    server.path("/usr/local/bin/docker").write_text(DOCKER, encoding="utf-8")
    server.path("/usr/local/bin/docker").chmod(0o755)
    server.path("/var/inspected").write_text(text, encoding="utf-8")


@pytest.mark.parametrize(("text", "code"), [(DEVICES, 1), (LABEL, 1), (PRIVILEGED, 0)])
def test_an_idle_container_is_refused_by_what_docker_says_of_it(
    old_server: Server, runs: Packages, text: str, code: int
) -> None:
    docker_shows(old_server, text)
    found, output = old_server.install(runs.driver("24.1.rc3"), "--upgrade")
    assert (found, "The davinci nodes are occupied" in output) == (code, code == 1)
    assert board(old_server)["Software Version"] == ("24.1.rc3" if code == 0 else "23.0.3")


def test_an_idle_container_keeps_the_driver_from_being_uninstalled(old_server: Server) -> None:
    docker_shows(old_server, DEVICES)
    assert old_server.run("/usr/local/Ascend/driver/script/uninstall.sh", "--quiet").returncode == 1
    assert board(old_server)["Software Version"] == "23.0.3"


def test_containers_do_not_matter_to_a_first_installation_or_by_force(server: Server, runs: Packages) -> None:
    docker_shows(server, DEVICES)
    assert server.install(runs.driver("24.1.rc3"))[0] == 0
    assert server.install(runs.driver("25.2.0"), "--upgrade", "--force")[0] == 0


def test_a_driver_older_than_the_flash_is_refused(server: Server, runs: Packages) -> None:
    server.install(runs.driver("24.1.rc3"))
    assert server.install(runs.firmware("24.1.rc3"), "--full")[0] == 0
    code, output = server.install(runs.driver("23.0.3"))
    assert code == 1
    words = "the driver package version=735053 is earlier than the device flash hardware version=745103"
    assert f"[ERROR]Installation failed, {words}\n" in output
    tool = "/usr/local/Ascend/driver/tools/upgrade-tool"
    asked = server.run(tool, "--device_index", "0", "--hw_base_version")
    assert asked.stdout == '{"device_id":0, "hw_base_version":745103}\n'
    assert server.text("/usr/local/Ascend/driver/version.info").startswith("Version=24.1.rc3\n")


def test_a_flash_that_asks_for_less_than_its_firmware_lets_an_older_driver_in(server: Server, runs: Packages) -> None:
    server.install(runs.driver("24.1.rc3"))
    assert server.install(runs.firmware("24.1.rc3"), "--full")[0] == 0
    faults.set_fault(server.hardware, "flash_base", "23.0.3")
    tool = "/usr/local/Ascend/driver/tools/upgrade-tool"
    asked = server.run(tool, "--device_index", "0", "--hw_base_version")
    assert asked.stdout == '{"device_id":0, "hw_base_version":735053}\n'
    assert server.install(runs.driver("23.0.3"))[0] == 0


def test_a_first_installation_cannot_ask_the_flash(old_server: Server, runs: Packages) -> None:
    assert old_server.install(runs.driver("24.1.rc3"), "--upgrade")[0] == 0
    assert old_server.install(runs.firmware("24.1.rc3"), "--upgrade")[0] == 0
    assert old_server.run("/usr/local/Ascend/driver/script/uninstall.sh").returncode == 0
    assert old_server.install(runs.driver("23.0.3"))[0] == 0


def test_no_chip_of_the_packages_kind_is_a_question_that_quiet_skips(server: Server, runs: Packages) -> None:
    server.run("umount", "/sys/bus/pci/devices")
    asked = server.run(str(runs.driver("23.0.3")), "--full", stdin="n\n")
    assert asked.returncode == 0
    assert "[y/n]" in asked.stdout
    assert "[INFO]installation Stoped!\n" in plain(asked.stdout)
    assert not server.path("/usr/local/Ascend").exists()
    assert server.install(runs.driver("23.0.3"), "--full")[0] == 2
    assert devices(server) == {"davinci_manager", "devmm_svm", "hisi_hdc"}


def test_errors_are_followed_by_the_end_time_but_not_without_root(server: Server, runs: Packages) -> None:
    server.run("userdel", "HwHiAiUser")
    _, output = server.install(runs.driver("23.0.3"))
    assert output.splitlines()[-1].startswith("[Driver] [INFO]End time: ")
    server.run("install", "-m755", str(runs.driver("23.0.3")), "/var/driver.run")
    asked = server.run("/var/driver.run", "--version", user="65534")
    assert asked.returncode == 1
    assert "End time" not in asked.stdout


def test_an_all_in_one_package_stops_the_installer_with_0_and_nothing_done(server: Server, runs: Packages) -> None:
    server.path("/etc/HiAI_install.info").write_text("")
    code, output = server.install(runs.driver("24.1.rc3"))
    assert code == 0
    assert "[ERROR]ERR_NO:0x0094;ERR_DES:Operation failed, An all-in-one RUN package is found" in output
    assert not server.path("/usr/local/Ascend").exists()


def test_what_is_installed_is_named_before_anything_else_happens(old_server: Server, runs: Packages) -> None:
    _, output = old_server.install(runs.driver("24.1.rc3"), "--upgrade")
    assert "[Driver] [INFO]base version is 23.0.3.\n" in output
    assert "[uid=0(root)] [INFO]base version is 23.0.3." in old_server.text("/var/log/ascend_seclog/ascend_install.log")
    assert "Upgrade MINOR root " in old_server.text("/var/log/ascend_seclog/operation.log")


def test_an_uninstallation_without_its_second_script_fails_with_code_0x0080(old_server: Server) -> None:
    old_server.run("rm", "/usr/local/Ascend/driver/script/run_driver_uninstall.sh")
    result = old_server.run("/usr/local/Ascend/driver/script/uninstall.sh", "--quiet")
    assert result.returncode == 1
    assert "ERR_NO:0x0080;ERR_DES:run_driver_uninstall.sh does not existed" in plain(result.stdout)
    assert not old_server.path("/usr/local/Ascend/driver/version.info").exists()
    assert "Uninstall MAJOR root " in old_server.text("/var/log/ascend_seclog/operation.log")


def test_a_newer_driver_kills_the_installer_of_one_that_the_flash_refuses(server: Server, runs: Packages) -> None:
    server.install(runs.driver("25.2.0"))
    assert server.install(runs.firmware("25.2.0"), "--full")[0] == 0
    tool = "/usr/local/Ascend/driver/tools/upgrade-tool"
    asked = server.run(tool, "--device_index", "0", "--hw_base_version")
    assert '"driver":' in asked.stdout
    code, output = server.install(runs.driver("24.1.rc3"), "--upgrade")
    assert code in (-9, 137)
    assert "[ERROR] Version check does not match, please use version 25.2.0 or later.\n" in output
    assert output.splitlines()[-1].startswith("[Driver] [ERROR] Driver upgrade failed, details in ")
    assert server.text("/usr/local/Ascend/driver/version.info").startswith("Version=25.2.0\n")
