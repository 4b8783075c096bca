# SPDX-License-Identifier: Apache-2.0
"""Runs with real processes: what is started outlives whoever started it, and whoever comes later finds it."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from ansible.module_utils.hdk import look as hdk_look
from ansible.module_utils.hdk.record import HdkRecord
from ansible.module_utils.hdk.run import HdkRun, progress_lines
from ansible.module_utils.hdk.steps import Host, Settings, StepError, run_logged

from tests.unit.plugins.module_utils.scripted_host import ScriptedHost

MODULE_UTILS = Path(__file__).parents[5] / "plugins" / "module_utils"
STEP = "upgrade driver 24.1.rc3: 23.0.3 is installed"

# A control side's end of it: starts a run of one installer and goes on waiting, as a module under `ssh` would.
STARTER = """
import sys, time
import ansible.module_utils
ansible.module_utils.__path__.append({module_utils!r})
from ansible.module_utils.hdk.record import HdkRecord
from ansible.module_utils.hdk.run import HdkRun
from ansible.module_utils.hdk.steps import Host, Settings, run_logged

run = HdkRun({root!r})
host = Host(settings=Settings({{}}, "u", "g", "guide", {timeout}), record=HdkRecord({root!r}), run=run)

def work():
    run.begin({step!r})
    ran = run_logged([{installer!r}, "--upgrade"], {log!r}, host, cut_off={cut_off})
    if ran.rc:
        return "it ended with %d" % ran.rc
    run.finish()

assert run.claim()
print(run.start({{"driver": "23.0.3"}}, work, {own!r}), flush=True)
time.sleep(600)
"""


class Machine:
    """A host in a folder, with an installer that goes on when the file `go` appears."""

    def __init__(self, folder):
        self.folder = folder
        self.root = ScriptedHost(folder).root
        self.run = HdkRun(self.root)
        self.log = folder / "driver.log"
        self.installer("exit 0")
        self.starter = None

    def installer(self, end):
        self.path = self.folder / "installer.run"
        go = self.folder / "go"
        waits = f"while [ ! -e {go} ]; do sleep 0.05; done"
        self.path.write_text(f"#!/bin/sh\necho upgradePercentage:40%\n{waits}\necho 'upgradePercentage: 100%'\n{end}\n")
        self.path.chmod(0o700)

    def start(self, timeout=60, *, cut_off=True):
        """Start a run from a process of its own and return its id."""
        text = STARTER.format(
            module_utils=str(MODULE_UTILS),
            root=self.root,
            step=STEP,
            installer=str(self.path),
            log=str(self.log),
            own=str(self.folder / "log" / "run.log"),
            timeout=timeout,
            cut_off=cut_off,
        )
        self.starter = subprocess.Popen(
            [sys.executable, "-c", text], stdout=subprocess.PIPE, text=True, start_new_session=True
        )
        return self.starter.stdout.readline().strip()

    def go(self):
        (self.folder / "go").write_text("")

    def kill_starter(self, number=signal.SIGKILL):
        if self.starter.poll() is None:
            os.killpg(self.starter.pid, number)
            self.starter.wait()

    def stop(self):
        self.go()
        if self.starter:
            self.kill_starter()
            self.starter.stdout.close()
        eventually(lambda: self.run.going_on() is None)


def eventually(condition):
    until = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < until, "it did not come about"
        time.sleep(0.02)


def open_files(pid):
    return [str(link.readlink()) for link in Path(f"/proc/{pid}/fd").iterdir()]


@pytest.fixture
def machine(tmp_path):
    machine = Machine(tmp_path)
    yield machine
    machine.stop()


def at_40_percent(machine):
    """Tell whether the installer has come so far, and the run has noted its pid, which it may do later."""
    said = machine.log.exists() and "40%" in machine.log.read_text()
    return said and machine.run.state()["current"]["pid"] is not None


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGHUP, signal.SIGTERM])
def test_a_run_outlives_the_process_that_started_it(machine, number):
    identity = machine.start()
    eventually(lambda: at_40_percent(machine))
    machine.kill_starter(number)
    state = machine.run.going_on()
    assert state["id"] == identity
    assert progress_lines(state) == ["upgrade driver 24.1.rc3: 40 %"]
    machine.go()
    eventually(lambda: machine.run.state()["ended"])
    state = machine.run.state()
    assert state["failure"] is None
    assert state["before"] == {"driver": "23.0.3"}
    (done,) = state["done"]
    assert done["step"] == STEP
    assert progress_lines(state) == [f"upgrade driver 24.1.rc3: done after {done['seconds']:.0f} s"]
    assert machine.run.going_on() is None


def test_while_a_run_goes_on_nobody_may_start_another(machine):
    machine.start()
    eventually(lambda: at_40_percent(machine))
    assert not machine.run.claim()
    machine.go()
    eventually(machine.run.claim)
    machine.run.release()


def test_the_installer_does_not_hold_the_claim(machine):
    """Daemons that an installer starts would hold it for ever."""
    machine.start()
    eventually(lambda: at_40_percent(machine))
    lock = str(Path(machine.run.folder) / "lock")
    state = machine.run.state()
    assert lock in open_files(state["pid"])
    assert lock not in open_files(state["current"]["pid"])


def test_the_failure_of_a_run_that_nobody_watched_is_kept(machine):
    machine.installer("exit 3")
    machine.start()
    eventually(lambda: at_40_percent(machine))
    machine.kill_starter()
    machine.go()
    eventually(lambda: machine.run.state()["ended"])
    assert machine.run.state()["failure"] == "it ended with 3"
    assert machine.run.state()["current"]["step"] == STEP


def test_an_installer_that_outlives_its_run_still_counts_as_going_on(machine):
    machine.start()
    eventually(lambda: at_40_percent(machine))
    os.kill(machine.run.state()["pid"], signal.SIGKILL)
    eventually(machine.run.claim)
    machine.run.release()
    assert machine.run.going_on()["current"]["step"] == STEP
    machine.go()
    eventually(lambda: machine.run.going_on() is None)
    assert machine.run.state()["ended"] is None


def test_a_run_that_gave_up_waiting_for_a_flash_goes_on_until_that_ends(machine):
    machine.start(timeout=1, cut_off=False)
    eventually(lambda: machine.run.state() and machine.run.state()["ended"])
    assert "still flashing after 1 s" in machine.run.state()["failure"]
    assert machine.run.going_on()["ended"]
    machine.go()
    eventually(lambda: machine.run.going_on() is None)


def test_an_installer_without_a_noted_pid_is_found_by_its_command(machine):
    machine.start()
    eventually(lambda: at_40_percent(machine))
    state = machine.run.state()
    os.kill(state["pid"], signal.SIGKILL)
    eventually(machine.run.claim)
    machine.run.release()
    machine.run.command(state["current"]["argv"], state["current"]["log"])
    assert machine.run.state()["current"]["pid"] is None
    assert machine.run.going_on() is not None


def test_a_run_that_a_restart_cut_off_is_none_and_has_no_outcome(machine):
    identity = machine.start()
    eventually(lambda: at_40_percent(machine))
    boot_id = machine.folder / "proc/sys/kernel/random/boot_id"
    before = boot_id.read_text()
    boot_id.write_text("another boot\n")
    assert machine.run.state() == {}
    assert machine.run.going_on() is None
    assert machine.run.outcome(identity) == {}
    boot_id.write_text(before)


@pytest.mark.parametrize("end", [0, 3])
def test_how_a_run_ended_is_known_after_somebody_has_rebooted(machine, end):
    machine.installer(f"exit {end}")
    identity = machine.start()
    machine.go()
    eventually(lambda: machine.run.state()["ended"])
    told = machine.run.outcome(identity)
    assert told["failure"] == (f"it ended with {end}" if end else None)
    (machine.folder / "proc/sys/kernel/random/boot_id").write_text("another boot\n")
    assert machine.run.outcome(identity) == told
    machine.run.open("1", {})
    assert machine.run.outcome(identity) == told
    assert machine.run.outcome("1")["ended"] is None
    machine.run._note(ended=1.0)


def test_a_run_ends_also_where_the_record_cannot_be_written(tmp_path):
    machine = Machine(tmp_path)
    (tmp_path / "var/lib").mkdir(parents=True, exist_ok=True)
    (tmp_path / "var/lib/ascend-hdk").write_text("a file where the folder belongs")
    assert machine.run.claim()
    machine.run.start({}, lambda: None, str(tmp_path / "log" / "run.log"))
    eventually(lambda: machine.run.state()["ended"])
    assert machine.run.state()["failure"] is None


def test_an_exception_ends_a_run_with_its_reason_and_a_traceback_in_its_log(tmp_path):
    machine = Machine(tmp_path)

    def work():
        raise KeyError("release")

    assert machine.run.claim()
    own = tmp_path / "log" / "run.log"
    machine.run.start({}, work, str(own))
    eventually(lambda: machine.run.state()["ended"])
    assert machine.run.state()["failure"].startswith("KeyError: 'release'")
    assert "Traceback" in own.read_text()


def test_a_run_lets_go_of_terminal_and_pipes(machine):
    machine.start()
    eventually(lambda: at_40_percent(machine))
    state = machine.run.state()
    pid = state["pid"]
    assert os.getsid(pid) != os.getsid(machine.starter.pid)
    assert not [target for target in open_files(pid) if target.startswith("pipe:")]


def test_a_pid_that_was_given_out_again_is_not_the_run(machine):
    machine.run.open("1", {})
    assert machine.run.going_on() is not None
    machine.run._note(start_time=1)
    assert machine.run.going_on() is None


def test_two_kinds_of_progress_and_none(tmp_path):
    log = tmp_path / "x.log"
    state = {"done": [], "current": {"step": "install firmware 7.5: none", "log": str(log)}}
    assert progress_lines(state) == ["install firmware 7.5: begun"]
    log.write_text("\x1b[32m[INFO]upgradePercentage:10%\x1b[0m\n")
    assert progress_lines(state) == ["install firmware 7.5: 10 %"]
    log.write_text("x" * 100000 + "\n[INFO]upgradePercentage: 0%\n")
    assert progress_lines(state) == ["install firmware 7.5: 0 %"]


def test_a_program_that_does_not_start_is_a_failure_of_the_step(tmp_path):
    machine = Machine(tmp_path)
    machine.run.open("1", {})
    machine.run.begin(STEP)
    host = Host(settings=Settings({}, "u", "g", "guide", 5), record=HdkRecord(machine.root), run=machine.run)
    with pytest.raises(StepError, match="does not start"):
        run_logged([str(tmp_path / "absent.run")], str(tmp_path / "x.log"), host)


def test_a_look_at_a_host_where_a_run_goes_on_waits_for_it_and_judges_nothing(tmp_path):
    host = ScriptedHost(tmp_path)
    run = HdkRun(host.root)
    run.open("1", {})
    run.begin(STEP)
    wish = {"packages": {"x86_64": {}}, "state": "present"}
    seen = hdk_look.answer(wish, host.run, "Debian", host.root)
    assert seen["pending"] == {"ascend_hdk": "wait for steps that go on (upgrade driver 24.1.rc3: begun)"}
    assert seen["problems"] == []
    assert seen["facts"]["components"] == ["driver", "firmware"]
    assert host.asked == []
