# SPDX-License-Identifier: Apache-2.0
"""Both halves of telechat-run together, on this machine: only MindFormers is missing.

A TeleChat2 tree of a few lines takes its place: it prints MindFormers' progress lines, and misbehaves on request.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any, Dict, List

import pytest

from tests.support.control_side import control_python, telechat_run
from tests.support.this_machine import write_inventory

TREE_PROGRAM = """\
import os, sys, time
steps = int(os.environ.get("STEPS", "3"))
for step in range(1, steps + 1):
    print(f"{{ Epoch:[  1/  1], step:[{step:>5}/{steps:>5}], loss:[{9 - step}.5/7.6], per_step_time: 91ms, lr: 0.001")
    print(f"  50.0% |##  | 0.25 samples/s/p  0:03:21 }}", flush=True)
    time.sleep(0.05)
    if os.environ.get("FAIL_AT") == str(step):
        raise RuntimeError("chip on fire")
time.sleep(float(os.environ.get("LINGER", "0")))
while "UNTIL" in os.environ and not os.path.exists(os.environ["UNTIL"]):
    time.sleep(0.05)
"""
CONFIG = "train_dataset: {data_loader: {dataset_dir: ''}}\nrunner_config: {epochs: 1}\n"


class Machine:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.jobs = folder / "root" / "jobs"
        (folder / "tree").mkdir()
        (folder / "data").mkdir()
        (folder / "tree" / "run_mindformer.py").write_text(TREE_PROGRAM)
        (folder / "config.yaml").write_text(CONFIG)
        self.write_inventory()

    def write_inventory(self, **env: str) -> None:
        write_inventory(self.folder, telechat_tree=str(self.folder / "tree"), telechat_env=env)

    def command(self, name: str, *words: str) -> List[str]:
        return [*telechat_run(), name, "-i", str(self.folder / "hosts.yml"), *words]

    def finetune(self, *words: str) -> List[str]:
        data = str(self.folder / "data")
        return self.command("finetune", "--config", str(self.folder / "config.yaml"), "--dataset", data, *words)

    def run(self, command: List[str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)

    def start(self, command: List[str]) -> subprocess.Popen[str]:
        return subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
        )

    def status(self) -> Dict[str, Any]:
        document: Dict[str, Any] = json.loads(self.run(self.command("status", "--json")).stdout)
        return document

    def workers(self) -> List[int]:
        """Return the processes that run the tree's program of this test."""
        wanted = str(self.folder / "tree" / "run_mindformer.py").encode()
        found = []
        for entry in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                words = entry.read_bytes().split(b"\0")
            except OSError:
                continue
            if wanted in words:
                found.append(int(entry.parent.name))
        return found


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def wait_for(process: subprocess.Popen[str], text: str) -> None:
    """Read a job's output up to the line that holds `text`."""
    assert process.stdout
    for line in process.stdout:
        if text in line:
            return
    raise AssertionError(f"{text!r} never came; stderr: {process.stderr.read() if process.stderr else ''}")


def test_a_job_from_plan_to_report(machine: Machine) -> None:
    done = machine.run(machine.finetune("--job-name", "demo"))
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert "[here rank0] " + "  50.0% |##  | 0.25 samples/s/p  0:03:21 }" in lines
    assert (
        "progress: step 3/3 (epoch 1/1)  loss 6.5  91 ms/step  lr 0.001  0.25 samples/s per NPU  left 0:03:21" in lines
    )
    assert "  loss      8.5 (step 1) -> 6.5 (step 3 of 3)" in lines
    (folder,) = machine.jobs.iterdir()
    assert folder.name.startswith("demo-")
    assert f"dataset_dir: '{machine.folder}/data'" in (folder / "work" / "config.yaml").read_text()
    assert (machine.folder / "config.yaml").read_text() == CONFIG


def test_a_dry_run_shows_the_exact_command_and_changes_nothing(machine: Machine) -> None:
    done = machine.run(machine.finetune("--dry-run"))
    assert done.returncode == 0
    assert f"{control_python()} {machine.folder}/tree/run_mindformer.py --config {machine.jobs}/" in done.stdout
    assert not machine.jobs.parent.exists()
    plan = json.loads(machine.run(machine.finetune("--dry-run", "--json")).stdout)
    assert plan["nodes"][0]["argv"][0] == str(control_python())


def test_a_job_that_fails_says_why_and_ends_with_1(machine: Machine) -> None:
    machine.write_inventory(FAIL_AT="2")
    done = machine.run(machine.finetune("--json"))
    assert done.returncode == 1
    report = json.loads(done.stdout)
    assert (report["state"], report["first_failure"], report["steps"]) == ("FAILED", "here", 2)
    assert "chip on fire" in report["nodes"][0]["reason"]
    assert report["nodes"][0]["last_lines"][-1] == "RuntimeError: chip on fire"
    assert machine.workers() == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_while_the_job_runs_leaves_nothing(machine: Machine, number: signal.Signals) -> None:
    machine.write_inventory(LINGER="60")
    process = machine.start(machine.finetune())
    wait_for(process, "step 3/3")
    assert len(machine.workers()) == 1
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "INTERRUPTED" in out
    assert "Traceback" not in err
    assert machine.workers() == []
    assert machine.status()["nodes"]["here"]["lease"] is None


def test_ctrl_c_before_the_start_starts_nothing(machine: Machine) -> None:
    # The inventory is a script that takes its time: the moment to interrupt is certain.
    script = machine.folder / "slow_inventory"
    script.write_text(f"#!/bin/sh\ntouch {machine.folder}/reading; sleep 2; cat {machine.folder}/hosts.yml\n")
    script.chmod(0o755)
    command = machine.finetune()
    command[command.index("-i") + 1] = str(script)
    process = machine.start(command)
    deadline = time.monotonic() + 30
    while not (machine.folder / "reading").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "interrupted while reading the inventory" in err
    assert "Traceback" not in err
    assert not machine.jobs.parent.exists()


def test_a_busy_node_refuses_with_the_owners_name_and_stop_frees_it(machine: Machine) -> None:
    machine.write_inventory(LINGER="60")
    process = machine.start(machine.finetune())
    wait_for(process, "step 3/3")
    (folder,) = machine.jobs.iterdir()
    second = machine.run(machine.finetune())
    assert second.returncode == 5
    assert f"runs job {folder.name} on it since" in second.stderr
    assert "here: busy: " in second.stderr
    assert machine.status()["nodes"]["here"]["lease"]["job_id"] == folder.name
    logs = machine.run(machine.command("logs"))
    assert logs.returncode == 0
    assert logs.stdout.count("[here rank0] ") == 6
    stopped = machine.run(machine.command("stop", folder.name))
    assert stopped.returncode == 0
    assert "here: STOPPED" in stopped.stdout
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "STOPPED" in out
    assert machine.workers() == []
    assert machine.run(machine.command("stop", "no-such-job")).returncode == 3


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGHUP])
def test_a_job_outlives_a_control_side_that_dies(machine: Machine, number: signal.Signals) -> None:
    machine.write_inventory(LINGER="60")
    process = machine.start(machine.finetune())
    wait_for(process, "step 3/3")
    os.kill(process.pid, number)
    process.communicate(timeout=60)
    assert len(machine.workers()) == 1
    assert machine.run(machine.command("stop")).returncode == 0
    assert machine.workers() == []


def detached(machine: Machine, **env: str) -> str:
    """Start a job that this command leaves, and return its id once it has made its steps."""
    machine.write_inventory(**env)
    started = machine.run(machine.finetune("--detach"))
    assert started.returncode == 0, started.stderr
    (folder,) = machine.jobs.iterdir()
    assert f"`telechat-run attach {folder.name}`" in started.stdout
    log = folder / "logs" / "worker_0.log"
    deadline = time.monotonic() + 60
    while not (log.exists() and "step:[    3/    3]" in log.read_text()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return folder.name


def test_attach_follows_a_detached_job_to_its_end(machine: Machine) -> None:
    end = machine.folder / "end"
    job_id = detached(machine, UNTIL=str(end))
    process = machine.start(machine.command("attach"))
    wait_for(process, "step 3/3")
    end.touch()
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert f"job {job_id}: SUCCEEDED after" in out
    assert "  loss      8.5 (step 1) -> 6.5 (step 3 of 3)" in out
    again = machine.run(machine.command("attach", job_id, "--json"))
    assert again.returncode == 0
    report = json.loads(again.stdout)
    assert (report["state"], report["steps"], report["last_loss"]) == ("SUCCEEDED", 3, 6.5)
    assert "no node has a job 'finetune-0'" in machine.run(machine.command("attach", "finetune-0")).stderr


def test_ctrl_c_in_attach_leaves_the_job(machine: Machine) -> None:
    job_id = detached(machine, LINGER="60")
    process = machine.start(machine.command("attach"))
    wait_for(process, "step 3/3")
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert f"job {job_id} runs on" in err
    assert len(machine.workers()) == 1
    assert [job["job_id"] for job in json.loads(machine.run(machine.command("jobs", "--active", "--json")).stdout)] == [
        job_id
    ]
    assert machine.run(machine.command("stop", "--force")).returncode == 0
    assert machine.workers() == []
    assert json.loads(machine.run(machine.command("jobs", "--active", "--json")).stdout) == []


def test_logs_begin_where_it_is_asked(machine: Machine) -> None:
    job_id = detached(machine)
    log = machine.jobs / job_id / "logs" / "worker_0.log"
    whole = log.read_text().splitlines()
    tail = machine.run(machine.command("logs", job_id, "--tail", "2"))
    assert tail.stdout.splitlines() == [f"[here rank0] {line}" for line in whole[-2:]]
    log.write_text("2020-01-01 10:00:00,1 old\nTraceback\n2020-01-01 12:00:00,1 new\nnewer\n")
    since = machine.run(machine.command("logs", job_id, "--since", "2020-01-01T11:00"))
    assert since.stdout.splitlines() == ["[here rank0] 2020-01-01 12:00:00,1 new", "[here rank0] newer"]
    assert machine.run(machine.command("logs", job_id, "--since", "1d")).stdout == ""
    wrong = machine.run(machine.command("logs", job_id, "--since", "yesterday"))
    assert wrong.returncode == 2
    assert "'yesterday' is neither a span as 10m nor a time" in wrong.stderr


def test_a_missing_dataset_starts_nothing(machine: Machine) -> None:
    (machine.folder / "data").rmdir()
    done = machine.run(machine.finetune())
    assert done.returncode == 5
    assert f"here: {machine.folder}/data does not exist" in done.stderr
    assert not machine.jobs.parent.exists()


def test_an_unknown_key_starts_nothing(machine: Machine) -> None:
    done = machine.run(machine.finetune("--set", "runner_config.epoch=2"))
    assert done.returncode == 3
    assert "did you mean runner_config.epochs" in done.stderr
    assert not machine.jobs.parent.exists()
