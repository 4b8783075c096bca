# SPDX-License-Identifier: Apache-2.0
"""The driver's .run on a server: what it needs, says, leaves and returns."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest
from bare_server import Server, plain

from lab.vendor import faults

if TYPE_CHECKING:
    from conftest import Packages

pytestmark = pytest.mark.lab

HEADERS = f"/usr/lib/modules/{os.uname().release}/build"
DKMS_TREE = "/var/lib/dkms/davinci_ascend"


def board(server: Server, chip: int = 0) -> dict[str, str]:
    lines = server.run("npu-smi", "info", "-t", "board", "-i", str(chip)).stdout.splitlines()
    return {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}


def devices(server: Server) -> set[str]:
    names = {path.name for path in server.path("/dev").iterdir()}
    return names - {"null", "zero", "urandom", "fd"}


WHOLE = {*(f"davinci{number}" for number in range(8)), "davinci_manager", "devmm_svm", "hisi_hdc"}


# --- a fresh installation


def test_a_fresh_installation_runs_at_once(server: Server, runs: Packages) -> None:
    result = server.run(str(runs.driver("23.0.3")), "--full", "--install-for-all")
    output = plain(result.stdout)
    assert result.returncode == 0
    assert "Verifying archive integrity..." in output
    assert "100%   SHA256 checksums are OK. All good.\n" in output
    assert "[Driver] [INFO]driver install type: DKMS\n" in output
    for percentage in (10, 30, 40, 90, 100):
        assert f"[Driver] [INFO]upgradePercentage:{percentage}%\n" in output
    assert (
        "[Driver] [INFO]Driver package installed successfully! The new version takes effect immediately. \n" in output
    )
    assert devices(server) == WHOLE
    assert board(server)["Software Version"] == "23.0.3"


def test_what_a_fresh_installation_leaves(server: Server, runs: Packages) -> None:
    server.install(runs.driver("24.1.rc3"))
    driver = "/usr/local/Ascend/driver"
    assert server.text("/etc/ascend_install.info") == (
        "UserName=HwHiAiUser\nUserGroup=HwHiAiUser\nDriver_Install_Type=full\n"
        "Driver_Install_Path_Param=/usr/local/Ascend\nDriver_Install_For_All=yes\nDriver_Install_Mode=normal\n"
        "Driver_Install_Status=complete\n"
    )
    assert server.text(f"{driver}/version.info").splitlines()[0] == "Version=24.1.rc3"
    assert "compatible_version_fw=[7.0.0,7.5.99]" in server.text(f"{driver}/version.info")
    for name in ("tools/hccn_tool", "tools/upgrade-tool", "script/uninstall.sh", "lib64/common/libascend_hal.so"):
        assert server.path(f"{driver}/{name}").is_file()
    assert server.path("/usr/local/sbin/npu-smi").is_file()
    assert server.path("/usr/local/bin/npu-smi").is_symlink()
    assert server.path("/var/log/npu/conf/slog/slog.conf").is_file()
    assert "Driver package installed successfully" in server.text("/var/log/ascend_seclog/ascend_install.log")


def test_older_releases_do_not_note_completion(server: Server, runs: Packages) -> None:
    server.install(runs.driver("23.0.3"))
    assert "Driver_Install_Status" not in server.text("/etc/ascend_install.info")


def test_each_installation_leaves_one_audit_line_with_its_result(server: Server, runs: Packages) -> None:
    server.install(runs.driver("23.0.3"))
    server.install(runs.driver("23.0.3", "aarch64" if os.uname().machine == "x86_64" else "x86-64"))
    first, second = server.text("/var/log/ascend_seclog/operation.log").splitlines()
    assert first.startswith("Install SUGGESTION root ")
    assert f"127.0.0.1 {runs.driver('23.0.3').name} success installType=full" in first
    assert first.endswith("cmdlist=--full --install-for-all --quiet.")
    assert " failed installType=full" in second


def test_without_install_for_all_only_the_run_users_group_may_open_the_chips(server: Server, runs: Packages) -> None:
    server.install(runs.driver("23.0.3"), "--full")
    assert "Driver_Install_For_All=no" in server.text("/etc/ascend_install.info")
    assert server.path("/dev/davinci0").stat().st_mode & 0o777 == 0o660


def test_upgrade_with_nothing_installed_is_a_full_installation(server: Server, runs: Packages) -> None:
    code, output = server.install(runs.driver("23.0.3"), "--upgrade")
    assert code == 0
    assert "Driver package installed successfully!" in output


def test_fresh_installation_without_hot_reset_needs_a_reboot(server: Server, runs: Packages) -> None:
    faults.set_fault(server.hardware, "hot_reset_failure")
    code, output = server.install(runs.driver("23.0.3"))
    assert code == 2
    assert "[Driver] [WARNING]Device startup fail\n" in output
    end = "Driver package installed successfully! Reboot needed for installation/upgrade to take effect! \n"
    assert f"[Driver] [INFO]{end}" in output
    assert devices(server) == set()
    assert server.run("npu-smi", "info").returncode != 0
    server.reboot()
    assert devices(server) == WHOLE
    assert board(server)["Software Version"] == "23.0.3"


@pytest.mark.parametrize("release", ["23.0.3", "24.1.rc3"])
def test_version_and_check_change_nothing_and_need_no_user(server: Server, runs: Packages, release: str) -> None:
    server.run("userdel", "HwHiAiUser")
    said = server.run(str(runs.driver(release)), "--version")
    assert (said.returncode, f"[Driver] [INFO]driver version :{release}\n" in plain(said.stdout)) == (0, True)
    checked = server.run(str(runs.driver(release)), "--check")
    assert checked.returncode == 0
    assert "SHA256 checksums are OK. All good.\n" in checked.stdout
    assert not server.path("/usr/local/Ascend").exists()


def test_extract_gives_version_info_without_installing(server: Server, runs: Packages) -> None:
    result = server.run(str(runs.driver("24.1.rc3")), "--noexec", "--extract=/root/out")
    assert result.returncode == 0
    assert server.text("/root/out/version.info").startswith("Version=24.1.rc3\n")
    assert not server.path("/usr/local/Ascend").exists()


# --- over an existing one


def test_an_upgrade_that_can_reset_the_chips_runs_at_once(old_server: Server, runs: Packages) -> None:
    code, output = old_server.install(runs.driver("24.1.rc3"), "--upgrade")
    assert code == 0
    assert "Driver package upgraded successfully! The new version takes effect immediately. \n" in output
    assert board(old_server)["Software Version"] == "24.1.rc3"


def test_after_an_upgrade_without_hot_reset_the_old_version_runs_until_the_reboot(
    old_server: Server, runs: Packages
) -> None:
    faults.set_fault(old_server.hardware, "hot_reset_failure")
    code, output = old_server.install(runs.driver("24.1.rc3"), "--upgrade")
    assert code == 2
    assert "Driver package upgraded successfully! Reboot needed for installation/upgrade to take effect! \n" in output
    assert old_server.text("/usr/local/Ascend/driver/version.info").startswith("Version=24.1.rc3\n")
    assert board(old_server)["Software Version"] == "23.0.3"
    old_server.reboot()
    assert board(old_server)["Software Version"] == "24.1.rc3"


def test_an_upgrade_keeps_for_whom_the_driver_was_installed(old_server: Server, runs: Packages) -> None:
    old_server.install(runs.driver("24.1.rc3"), "--upgrade")
    assert "Driver_Install_For_All=yes" in old_server.text("/etc/ascend_install.info")


def test_full_over_an_existing_driver_asks_and_goes_on_with_y(old_server: Server, runs: Packages) -> None:
    result = old_server.run(str(runs.driver("24.1.rc3")), "--full", "--install-for-all", stdin="maybe\ny\n")
    assert "the version is 23.0.3, and the version of this package is 24.1.rc3,do you want to continue?  [y/n]" in (
        result.stdout
    )
    assert "please input y or n" in result.stdout
    assert result.returncode == 0


def test_full_over_an_existing_driver_stops_with_n(old_server: Server, runs: Packages) -> None:
    result = old_server.run(str(runs.driver("24.1.rc3")), "--full", "--install-for-all", stdin="n\n")
    assert result.returncode == 1
    assert old_server.text("/usr/local/Ascend/driver/version.info").startswith("Version=23.0.3\n")


@pytest.mark.parametrize("ends", [False, True], ids=["silent stdin", "closed stdin"])
def test_a_question_nobody_answers_hangs(old_server: Server, runs: Packages, ends: bool) -> None:
    asking = old_server.start(str(runs.driver("24.1.rc3")), "--full", "--install-for-all")
    old_server.wait_for(asking, "[y/n]")
    if ends:
        assert asking.stdin is not None
        asking.stdin.close()
        asking.stdin = None
    with pytest.raises(subprocess.TimeoutExpired):
        asking.wait(0.5)


# --- what it needs


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
    assert "relatianship of U and G" in output


def test_another_run_user_than_last_time(old_server: Server, runs: Packages) -> None:
    old_server.run("useradd", "-U", "other")
    user = ("--install-username=other", "--install-usergroup=other")
    code, output = old_server.install(runs.driver("24.1.rc3"), "--full", *user)
    assert code == 1
    assert "ERR_NO:0x0095;ERR_DES:user and group are not same with last installation\n" in output


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
    assert "[ERROR]free space only 120M, cannot install driver package\n" in output
    assert not server.path("/usr/local/Ascend").exists()


def test_another_architecture(server: Server, runs: Packages) -> None:
    other = "aarch64" if os.uname().machine == "x86_64" else "x86-64"
    code, output = server.install(runs.driver("23.0.3", other))
    assert code == 1
    assert "does not match the architecture of the system" in output


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


def test_older_releases_install_over_occupied_chips_and_need_a_reboot(old_server: Server, runs: Packages) -> None:
    faults.set_fault(old_server.hardware, "device_busy")
    assert old_server.install(runs.driver("23.0.7"), "--upgrade")[0] == 2
    assert board(old_server)["Software Version"] == "23.0.3"


def test_a_driver_older_than_the_flash_is_refused(server: Server, runs: Packages) -> None:
    server.install(runs.driver("24.1.rc3"))
    assert server.install(runs.firmware("24.1.rc3"), "--full")[0] == 0
    code, output = server.install(runs.driver("23.0.3"))
    assert code == 1
    words = "the driver package version=23.0.3 is earlier than the device flash hardware version=24.1.rc3"
    assert f"[ERROR]Installation failed, {words}\n" in output
    assert server.text("/usr/local/Ascend/driver/version.info").startswith("Version=24.1.rc3\n")


def test_no_chip_of_the_packages_kind_is_a_question_that_quiet_skips(server: Server, runs: Packages) -> None:
    server.run("umount", "/sys/bus/pci/devices")
    asked = server.run(str(runs.driver("23.0.3")), "--full", stdin="n\n")
    assert asked.returncode == 1
    assert "[y/n]" in asked.stdout
    assert server.install(runs.driver("23.0.3"), "--full")[0] == 2
    assert devices(server) == {"davinci_manager", "devmm_svm", "hisi_hdc"}


# --- failures in the middle


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


# --- boots


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


# --- uninstalling


def test_uninstalling_takes_effect_immediately(old_server: Server) -> None:
    result = old_server.run("/usr/local/Ascend/driver/script/uninstall.sh")
    assert result.returncode == 0
    words = "Driver package uninstalled successfully! Uninstallation takes effect immediately.\n"
    assert words in plain(result.stdout)
    assert devices(old_server) == set()
    for path in ("/usr/local/Ascend/driver", "/usr/local/sbin/npu-smi", "/usr/local/bin/npu-smi", DKMS_TREE):
        assert not old_server.path(path).exists()
        assert not old_server.path(path).is_symlink()
    assert old_server.text("/etc/ascend_install.info") == (
        "UserName=HwHiAiUser\nUserGroup=HwHiAiUser\n"
        "Firmware_Install_Type=full\nFirmware_Install_Path_Param=/usr/local/Ascend\n"
    )
    old_server.reboot()
    assert devices(old_server) == set()


def test_uninstalling_both_in_any_order_leaves_no_install_info(old_server: Server) -> None:
    assert old_server.run("/usr/local/Ascend/firmware/script/uninstall.sh", "--quiet").returncode == 0
    assert old_server.run("/usr/local/Ascend/driver/script/uninstall.sh", "--quiet").returncode == 0
    assert not old_server.path("/etc/ascend_install.info").exists()


def test_uninstalling_without_hot_reset_needs_a_reboot(old_server: Server) -> None:
    faults.set_fault(old_server.hardware, "hot_reset_failure")
    output = plain(old_server.run("/usr/local/Ascend/driver/script/uninstall.sh").stdout)
    assert "Driver package uninstalled successfully! Reboot needed for uninstallation to take effect!\n" in output
    assert devices(old_server) == WHOLE
    old_server.reboot()
    assert devices(old_server) == set()


@pytest.mark.parametrize("options", [("--full",), ("--quiet", "--yes"), ("now",)])
def test_the_uninstall_script_knows_two_options(old_server: Server, options: tuple[str, ...]) -> None:
    result = old_server.run("/usr/local/Ascend/driver/script/uninstall.sh", *options)
    assert result.returncode == 1
    assert "ERR_NO:0x0004;ERR_DES: Unrecognized parameters" in plain(result.stdout)
    assert devices(old_server) == WHOLE


def test_uninstalling_what_is_not_installed(server: Server, runs: Packages) -> None:
    result = server.run(str(runs.driver("23.0.3")), "--uninstall")
    assert result.returncode == 1
    words = "ERR_NO:0x0080;ERR_DES:Driver package is not installed on this device, uninstall failed\n"
    assert words in plain(result.stdout)


def test_uninstalling_that_fails(old_server: Server) -> None:
    faults.set_fault(old_server.hardware, "uninstall_failure")
    result = old_server.run("/usr/local/Ascend/driver/script/uninstall.sh", "--quiet")
    assert result.returncode == 1
    assert "ERR_NO:0x0090;ERR_DES:uninstall driver failed\n" in plain(result.stdout)
    assert board(old_server)["Software Version"] == "23.0.3"


def test_uninstalling_by_force_while_the_chips_are_occupied(server: Server, runs: Packages) -> None:
    server.install(runs.driver("24.1.rc3"))
    faults.set_fault(server.hardware, "device_busy")
    refused = server.run("/usr/local/Ascend/driver/script/uninstall.sh", "--quiet")
    assert refused.returncode == 1
    assert "The davinci nodes are occupied by some processes" in refused.stdout
    forced = plain(server.run("/usr/local/Ascend/driver/script/uninstall.sh", "--force").stdout)
    assert "[WARNING]Kernel modules can not be removed, reboot needed" in forced
    assert "Driver package uninstalled finished!\n" in forced
