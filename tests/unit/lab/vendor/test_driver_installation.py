# SPDX-License-Identifier: Apache-2.0
"""Installing the driver's .run, on a bare server and over another version."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest
from bare_server import WHOLE, Server, board, devices, plain

from lab.vendor import faults

if TYPE_CHECKING:
    from conftest import Packages

pytestmark = pytest.mark.lab


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
    assert server.text("/var/log/hotreset_status.log") == "success\n"
    assert runs.driver("24.1.rc3").name in server.text("/root/log/makeself/makeself.log")


def test_older_releases_do_not_note_completion(server: Server, runs: Packages) -> None:
    server.install(runs.driver("23.0.3"))
    assert "Driver_Install_Status" not in server.text("/etc/ascend_install.info")


def test_each_installation_leaves_one_audit_line_with_its_result(server: Server, runs: Packages) -> None:
    server.install(runs.driver("23.0.3"))
    server.install(runs.driver("23.0.3", "aarch64" if os.uname().machine == "x86_64" else "x86-64"))
    first, second = server.text("/var/log/ascend_seclog/operation.log").splitlines()
    assert first.startswith("Install SUGGESTION root ")
    assert f"127.0.0.1 {runs.driver('23.0.3').name} success install_type=full; cmdlist=" in first
    assert first.endswith("cmdlist=--full --install-for-all --quiet.")
    assert " failed install_type=full; " in second


def test_without_install_for_all_only_the_run_users_group_may_open_the_chips(server: Server, runs: Packages) -> None:
    server.install(runs.driver("23.0.3"), "--full")
    assert "Driver_Install_For_All=no" in server.text("/etc/ascend_install.info")
    assert server.path("/dev/davinci0").stat().st_mode & 0o777 == 0o660


def test_the_chips_nodes_belong_to_the_run_user_and_its_group(server: Server, runs: Packages) -> None:
    server.install(runs.driver("24.1.rc3"))
    owner = server.run("stat", "--format=%U:%G", "/dev/davinci0", "/dev/davinci_manager").stdout
    assert owner == "HwHiAiUser:HwHiAiUser\n" * 2


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
    assert old_server.text("/var/log/hotreset_status.log") == "unknown\n"
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
    assert result.returncode == 0
    assert "[INFO]installation Stoped!\n" in plain(result.stdout)
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
