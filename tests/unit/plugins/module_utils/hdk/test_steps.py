# SPDX-License-Identifier: Apache-2.0
"""Uninstalling, with a small shell script in the place of the vendor's; and the logs that each step leaves."""

import pytest
from ansible.module_utils.hdk import steps as hdk_steps
from ansible.module_utils.hdk.install_info import named_again
from ansible.module_utils.hdk.record import HdkRecord
from ansible.module_utils.hdk.run import HdkRun
from ansible.module_utils.hdk.state import UNINSTALL, UPGRADE, Step
from ansible.module_utils.hdk.steps import Host, Settings, StepError, new_log, settings_of, uninstall

from tests.unit.plugins.module_utils.scripted_host import ScriptedHost


class Site:
    """A home of the HDK with the uninstall scripts that a test writes."""

    def __init__(self, folder):
        self.home = folder / "Ascend"
        self.calls = folder / "calls"
        root = ScriptedHost(folder / "root").root
        self.run = HdkRun(root)
        self.record = HdkRecord(root)

    def script(self, does, component="driver"):
        path = self.home / component / "script" / "uninstall.sh"
        path.parent.mkdir(parents=True)
        path.write_text(f'#!/bin/sh\necho "{component} $*" >> {self.calls}\n{does}\n')
        path.chmod(0o500)

    def uninstall(self, component="driver", reboot="guide"):
        step = Step(UNINSTALL, component, "24.1.rc3", "it is installed", targets=(str(self.home),))
        self.run.open("1", {})
        self.run.begin(str(step))
        settings = Settings({}, "u", "g", reboot, 60)
        uninstall(step, Host(settings=settings, record=self.record, run=self.run))
        return self.record.read()[component]

    def called(self):
        return self.calls.read_text().splitlines()


@pytest.fixture(autouse=True)
def log_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(hdk_steps, "LOG_FOLDER", str(tmp_path / "log"))


@pytest.fixture
def site(tmp_path):
    return Site(tmp_path)


def test_the_script_of_what_is_installed_where_it_is_installed(site):
    site.script(f"echo Driver package uninstalled successfully!; rm -r {site.home}/driver")
    entry = site.uninstall()
    assert site.called() == ["driver --quiet"]
    assert (entry["action"], entry["version"], entry["finished"]) == ("uninstall", "24.1.rc3", True)
    assert not site.home.exists()


def test_a_lost_install_info_is_written_back_so_that_the_vendors_own_script_removes_what_it_made(site, tmp_path):
    info = tmp_path / "root/etc/ascend_install.info"
    site.script(f"cat {info} >> {site.calls}; echo Driver package uninstalled successfully!")
    site.uninstall()
    assert site.called()[1:] == [
        "UserName=u",
        "UserGroup=g",
        "Driver_Install_Type=full",
        f"Driver_Install_Path_Param={site.home}",
        "Driver_Install_For_All=yes",
        "Driver_Install_Mode=normal",
    ]


@pytest.mark.parametrize("text", ["UserName=a\nDriver_Install_Path_Param=/opt/Ascend\nDriver_Install_For_All=no\n"])
def test_an_install_info_that_names_the_driver_stays_as_it_is(text):
    assert named_again(text, "driver", "/usr/local/Ascend", "u", "g") == text
    firmware = "Firmware_Install_Type=full\nFirmware_Install_Path_Param=/usr/local/Ascend\n"
    assert (
        named_again(text, "firmware", "/usr/local/Ascend", "u", "g")
        == f"UserName=a\nUserGroup=g\n{text[11:]}{firmware}"
    )


def test_what_else_is_in_the_folder_stays(site):
    site.script(f"rm -r {site.home}/driver; echo Driver package uninstalled successfully!")
    (site.home / "ascend-toolkit").mkdir()
    site.uninstall()
    assert (site.home / "ascend-toolkit").is_dir()


def test_a_script_that_does_not_know_quiet_is_called_without(site):
    site.script(
        '[ $# = 0 ] || { echo "ERR_NO:0x0004;ERR_DES: Unrecognized parameters: $*"; exit 1; }\n'
        'echo "Firmware package uninstalled successfully!"',
        "firmware",
    )
    site.uninstall("firmware")
    assert site.called() == ["firmware --quiet", "firmware "]


def test_what_the_script_does_not_find_is_absent(site):
    site.script("echo 'ERR_NO:0x0080;ERR_DES:Driver package is not installed on this device, uninstall failed'; exit 1")
    assert site.uninstall()["finished"] is True


def test_a_failed_script_is_told_and_stays_unfinished(site, tmp_path):
    site.script("echo 'ERR_NO:0x0090;ERR_DES:uninstall driver failed'; exit 1")
    with pytest.raises(StepError, match="the driver could not be uninstalled"):
        site.uninstall()
    assert site.record.read()["driver"]["finished"] is False
    assert "0x0090" in (tmp_path / "log" / "driver.log").read_text()


def test_a_driver_without_a_script_is_left_alone(site):
    (site.home / "driver").mkdir(parents=True)
    with pytest.raises(StepError, match=r"there is no .*/driver/script/uninstall\.sh"):
        site.uninstall()
    assert (site.home / "driver").is_dir()
    assert site.record.read() == {}


@pytest.mark.parametrize(
    ("component", "reboot", "says", "owed"),
    [
        ("driver", "guide", "uninstalled successfully! Uninstallation takes effect immediately.", True),
        ("driver", "when_required", "uninstalled successfully! Uninstallation takes effect immediately.", False),
        ("driver", "when_required", "uninstalled successfully! Reboot needed for uninstallation to take effect!", True),
        ("driver", "when_required", "uninstalled finished! Kernel modules can not be removed, reboot needed", True),
        ("firmware", "guide", "uninstalled successfully! Uninstallation takes effect immediately.", False),
    ],
)
def test_whether_a_reboot_is_owed(site, component, reboot, says, owed):
    site.script(f"echo '{says}'", component)
    assert site.uninstall(component, reboot)["reboot_owed"] is owed


def test_each_step_has_a_log_of_its_own_and_the_latest_a_stable_name(tmp_path, monkeypatch):
    names = []
    for second in ("20260101-000000", "20260101-000001"):
        monkeypatch.setattr(hdk_steps.time, "strftime", lambda *_, second=second: second)
        names.append(new_log(Step(UPGRADE, "driver", "24.1.rc3", "why")))
    folder = tmp_path / "log"
    assert names == [f"{folder}/driver-upgrade-24.1.rc3-2026010{n}-00000{s}.log" for n, s in ((1, 0), (1, 1))]
    assert str((folder / "driver.log").readlink()) == "driver-upgrade-24.1.rc3-20260101-000001.log"


def test_to_uninstall_no_package_is_needed(monkeypatch):
    wish = {"packages": {}, "user": "u", "group": "g", "reboot": "guide"}
    assert settings_of(wish, "/staging", 5) == Settings({}, "u", "g", "guide", 5)
    monkeypatch.setattr(hdk_steps.platform, "machine", lambda: "aarch64")
    wish["packages"] = {"aarch64": {"driver": {"file": "d.run", "sha256": "0"}}}
    assert settings_of(wish, "/staging", 5).packages["driver"] == ("/staging/d.run", "0")
