# SPDX-License-Identifier: Apache-2.0
"""A driver and firmware in another folder than the default one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from bare_server import WHOLE, Server, board, devices

if TYPE_CHECKING:
    from conftest import Packages

pytestmark = pytest.mark.lab

PLACE = "/opt/ascend-hdk"


@pytest.fixture
def elsewhere(server: Server, runs: Packages) -> Server:
    """A server whose HDK 23.0.3 was installed by hand in another folder."""
    options = ("--install-for-all", f"--install-path={PLACE}")
    assert server.install(runs.driver("23.0.3"), "--full", *options)[0] == 0
    assert server.install(runs.firmware("23.0.3"), "--full", f"--install-path={PLACE}")[0] == 0
    server.reboot()
    return server


def test_everything_is_there_and_runs(elsewhere: Server) -> None:
    info = elsewhere.text("/etc/ascend_install.info")
    assert f"Driver_Install_Path_Param={PLACE}\n" in info
    assert f"Firmware_Install_Path_Param={PLACE}\n" in info
    assert not elsewhere.path("/usr/local/Ascend/driver").exists()
    assert not elsewhere.path("/usr/local/Ascend/firmware").exists()
    assert devices(elsewhere) == WHOLE
    assert board(elsewhere)["Firmware Version"] == "7.1.0.5.220"
    assert elsewhere.text(f"{PLACE}/driver/version.info").startswith("Version=23.0.3\n")


def test_an_upgrade_stays_there_and_another_path_is_refused(elsewhere: Server, runs: Packages) -> None:
    code, output = elsewhere.install(
        runs.driver("24.1.rc3"), "--full", "--install-for-all", "--install-path=/usr/local/Ascend"
    )
    assert code == 1
    assert "is not same with last installation" in output
    assert elsewhere.install(runs.driver("24.1.rc3"), "--upgrade")[0] == 0
    assert elsewhere.text(f"{PLACE}/driver/version.info").startswith("Version=24.1.rc3\n")


def test_its_own_scripts_uninstall_it_and_leave_no_folder(elsewhere: Server) -> None:
    for component in ("driver", "firmware"):
        assert elsewhere.run(f"{PLACE}/{component}/script/uninstall.sh").returncode == 0
    assert not elsewhere.path(PLACE).exists()
    assert not elsewhere.path("/etc/ascend_install.info").exists()
    assert devices(elsewhere) == set()


def test_a_relative_path_is_refused(server: Server, runs: Packages) -> None:
    code, output = server.install(runs.driver("23.0.3"), "--full", "--install-path=here")
    assert code == 1
    assert "install-path here is not an absolute path" in output
