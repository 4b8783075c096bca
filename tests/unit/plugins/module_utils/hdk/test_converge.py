# SPDX-License-Identifier: Apache-2.0
"""Steps carried out with real processes: installers are small shell scripts that note how they were called."""

import hashlib
import os
import time
import types
from pathlib import Path

import pytest
from ansible.module_utils.hdk import steps as hdk_steps
from ansible.module_utils.hdk.converge import converge
from ansible.module_utils.hdk.look import HdkLook
from ansible.module_utils.hdk.plan import plan_hdk
from ansible.module_utils.hdk.record import HdkRecord
from ansible.module_utils.hdk.run import HdkRun
from ansible.module_utils.hdk.steps import Host, Package, Settings, StepError

from tests.unit.plugins.module_utils.hdk.server_model import Server
from tests.unit.plugins.module_utils.hdk.test_plan import NEW, OLD, running, wish
from tests.unit.plugins.module_utils.scripted_host import ScriptedHost

DONE = "echo Driver package installed successfully!"
SCRIPT = """#!/bin/sh
echo "$(basename "$0") $*" >> {calls}
case "$*" in
  --check) {check} ;;
  *) {install} ;;
esac
"""


class Site:
    """A model server whose installers are scripts on this machine's disk."""

    def __init__(self, folder, server, wanted=None):
        self.calls = folder / "calls"
        self.folder = folder
        self.server = server
        self.wish = wanted or wish()
        root = ScriptedHost(folder / "root").root
        self.record = HdkRecord(root)
        self.run = HdkRun(root)
        self.packages = {}
        for component in ("driver", "firmware"):
            self.package(component)

    def package(self, component, *, check="exit 0", install=DONE):
        path = self.folder / f"{component}.run"
        path.write_text(SCRIPT.format(calls=self.calls, check=check, install=install))
        path.chmod(0o700)
        self.packages[component] = Package(str(path), hashlib.sha256(path.read_bytes()).hexdigest())

    def look(self):
        """Look at the model, which has meanwhile taken what the scripts were called for."""
        for component, entry in self.record.read().items():
            if entry["finished"] and component not in self.server.written_this_boot:
                (step,) = [s for s in plan_hdk(self.server.facts(), self.wish).steps if s.component == component][:1]
                self.server.take(step, self.wish)
        facts = self.server.facts()
        return HdkLook(facts=facts, wish=self.wish, plan=plan_hdk(facts, self.wish))

    def converge(self, timeout=60):
        settings = Settings(
            packages=self.packages,
            user="HwHiAiUser",
            group="HwHiAiUser",
            reboot=self.wish.reboot_policy,
            timeout=timeout,
        )
        self.run.open("1", {})
        return converge(self.look, Host(settings=settings, record=self.record, run=self.run))

    def done(self):
        return [done["step"].partition(": ")[0] for done in self.run.state()["done"]]

    def called(self):
        return self.calls.read_text().splitlines() if self.calls.exists() else []


@pytest.fixture(autouse=True)
def log_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(hdk_steps, "LOG_FOLDER", str(tmp_path / "log"))
    return tmp_path / "log"


def test_over_an_existing_hdk_firmware_then_driver_up_to_the_reboot(tmp_path):
    site = Site(tmp_path, running(*OLD))
    seen = site.converge()
    assert site.called() == [
        "firmware.run --check",
        "firmware.run --upgrade --quiet",
        "driver.run --check",
        "driver.run --upgrade --quiet",
    ]
    assert site.done() == ["upgrade firmware 7.5.0.1.129", "upgrade driver 24.1.rc3"]
    assert reboots(seen)


def test_a_fresh_server_stops_at_the_first_reboot(tmp_path):
    site = Site(tmp_path, Server())
    assert reboots(site.converge())
    assert site.called() == ["driver.run --check", "driver.run --full --install-for-all --quiet"]


OCCUPIED = (
    "[ERROR]The davinci nodes are occupied by some processes, please stop processes and install or uninstall again"
)


def test_a_driver_that_was_refused_for_a_poller_is_tried_again(tmp_path, monkeypatch):
    monkeypatch.setattr(hdk_steps, "_OCCUPIED_PAUSES", (0, 0))
    site = Site(tmp_path, running(OLD[0], NEW[1]))
    met = tmp_path / "met"
    site.package("driver", install=f"[ -e {met} ] || {{ touch {met}; echo '{OCCUPIED}'; exit 1; }}; {DONE}")
    assert reboots(site.converge())
    assert site.called() == ["driver.run --check", "driver.run --upgrade --quiet", "driver.run --upgrade --quiet"]


def test_a_driver_that_is_always_refused_is_tried_three_times(tmp_path, monkeypatch):
    monkeypatch.setattr(hdk_steps, "_OCCUPIED_PAUSES", (0, 0))
    site = Site(tmp_path, running(OLD[0], NEW[1]))
    site.package("driver", install=f"echo '{OCCUPIED}'; exit 1")
    with pytest.raises(StepError, match="processes or containers use the NPUs"):
        site.converge()
    assert len(site.called()) == 4


def test_nothing_to_do_runs_nothing(tmp_path):
    site = Site(tmp_path, running(*NEW))
    assert site.converge().plan.steps == ()
    assert site.done() == []
    assert site.called() == []


def test_a_package_with_another_checksum_is_not_run(tmp_path):
    site = Site(tmp_path, Server())
    site.packages["driver"] = Package(site.packages["driver"].path, "0" * 64)
    with pytest.raises(StepError, match=r"has sha256 [0-9a-f]{64}, not 0{64}"):
        site.converge()
    assert site.called() == []


def test_a_package_that_was_not_copied(tmp_path):
    site = Site(tmp_path, Server())
    site.packages["driver"] = Package(str(tmp_path / "absent.run"), "0" * 64)
    with pytest.raises(StepError, match="is not on this host yet"):
        site.converge()


def test_a_package_that_fails_its_own_check_is_not_installed(tmp_path):
    site = Site(tmp_path, Server())
    site.package("driver", check="echo Error in SHA256 checksums; exit 2")
    with pytest.raises(StepError, match="--check failed: the installer ended with 2: Error in SHA256 checksums"):
        site.converge()
    assert site.called() == ["driver.run --check"]
    assert site.record.read() == {}


def test_a_failed_installer_tells_cause_and_log_and_is_repeated_next_time(tmp_path, log_folder):
    site = Site(tmp_path, running(*OLD))
    site.package("firmware", install="echo 'ERR_NO:0x0094;ERR_DES:There is already a process'; exit 1")
    with pytest.raises(StepError) as caught:
        site.converge()
    assert "another installer runs on this host" in str(caught.value)
    (log,) = log_folder.glob("firmware-upgrade-7.5.0.1.129-*.log")
    assert str(log) in str(caught.value)
    assert "ERR_NO:0x0094" in (log_folder / "firmware.log").read_text()
    assert site.record.read()["firmware"]["finished"] is False


def test_an_installer_that_does_not_end_is_ended_with_its_children(tmp_path):
    site = Site(tmp_path, Server())
    site.package("driver", install=f"echo upgradePercentage:30%; sleep 600 & echo $! > {tmp_path}/child; wait")
    with pytest.raises(StepError, match="was ended after 1 s at 30 %"):
        site.converge(timeout=1)
    assert ended(int((tmp_path / "child").read_text()))


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # nobody waits for it: that is the point
def test_firmware_that_takes_too_long_is_still_flashing_and_never_cut_off(tmp_path):
    site = Site(tmp_path, running(*OLD))
    go, done = tmp_path / "go", tmp_path / "done"
    waits = f"echo upgradePercentage: 50%; until [ -e {go} ]; do sleep 0.05; done; touch {done}"
    site.package("firmware", install=waits)
    with pytest.raises(StepError, match=r"still flashing after 1 s at 50 %.*run again, that waits for it"):
        site.converge(timeout=1)
    go.touch()
    os.waitpid(site.run.state()["current"]["pid"], 0)
    assert done.exists()


def test_a_package_unpacks_beside_itself_as_tmp_may_be_noexec(tmp_path):
    site = Site(tmp_path, running(*OLD))
    site.package(
        "firmware", check=f"echo check $TMPDIR >> {tmp_path}/rooms", install=f"echo $TMPDIR >> {tmp_path}/rooms; {DONE}"
    )
    site.converge()
    rooms = [Path(line.split()[-1]) for line in (tmp_path / "rooms").read_text().splitlines()]
    assert [room.parent for room in rooms] == [tmp_path, tmp_path]
    assert not any(room.exists() for room in rooms)


def test_a_package_folder_where_nothing_may_be_executed_is_refused_before_anything_is_tried(tmp_path, monkeypatch):
    site = Site(tmp_path, running(*OLD))
    flags = types.SimpleNamespace(f_flag=os.ST_NOEXEC)
    monkeypatch.setattr(hdk_steps.os, "statvfs", lambda _: flags)
    with pytest.raises(StepError, match="mounted noexec; set ascend_hdk_staging_dir"):
        site.converge()
    assert site.called() == []


def test_an_admins_own_installer_during_ours_is_named_in_its_failure(tmp_path):
    site = Site(tmp_path, running(*OLD))
    process = Path(site.run.root, "proc/333")
    process.mkdir(parents=True)
    (process / "cmdline").write_text("/root/Ascend-hdk-910b-npu-driver_25.2.0_linux-x86-64.run\0--full")
    (process / "stat").write_text("333 (x.run) S 1 333 333 0")
    site.package("firmware", install="echo '[ERROR]Drv_file_copy failed'; exit 1")
    with pytest.raises(StepError, match=r"somebody else ran /root/Ascend.*25\.2\.0.*\.run \(pid 333\) meanwhile"):
        site.converge()


def reboots(seen):
    return bool(seen.plan.steps) and seen.plan.steps[0].action == "reboot"


def ended(pid):
    """Wait for a killed process: it is gone, or dead and only not yet collected. A kill takes a moment."""
    for _ in range(200):
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            return True
        if state == "Z":
            return True
        time.sleep(0.05)
    return False


def test_an_installer_that_asks_gets_no_answer_but_the_end_of_stdin(tmp_path):
    site = Site(tmp_path, Server())
    site.package("driver", install="read answer && exit 0; echo no answer; exit 1")
    with pytest.raises(StepError, match="no answer"):
        site.converge()


def test_without_headers_the_driver_is_not_tried(tmp_path):
    site = Site(tmp_path, Server())
    facts = Server().facts(headers="unknown")
    site.look = lambda: HdkLook(facts=facts, wish=site.wish, plan=plan_hdk(facts, site.wish))
    with pytest.raises(StepError, match=r"no /lib/modules/5\.10\.0/build"):
        site.converge()
    assert site.called() == []


@pytest.mark.parametrize(("rc", "owed"), [(0, False), (2, True)])
def test_when_required_the_installer_says_whether_a_reboot_is_due(tmp_path, rc, owed):
    site = Site(tmp_path, running(OLD[0], NEW[1]), wish(reboot_policy="when_required"))
    site.package("driver", install=f"{DONE}; exit {rc}")
    site.server.hot_reset_works = not owed
    assert reboots(site.converge()) == owed
    assert site.record.read()["driver"]["reboot_owed"] == owed


def test_a_refused_plan_is_not_begun(tmp_path):
    site = Site(tmp_path, Server(), wish(npu_count=8))
    assert site.converge().plan.refusals
    assert site.called() == []
