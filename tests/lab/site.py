# SPDX-License-Identifier: Apache-2.0
"""A lab of a test's own, driven by the commands that a user types; their output goes to build/logs."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
CONFIG = ROOT / "lab" / "workload" / "finetune_tiny.yaml"
DATASET = "/mnt/model/demo-dataset"
# For trainings that are only there to be at work, and leave the machine to what is tested: slow steps, a start
# without what a training does not use (lab/workload/README.md), and one compilation for all jobs of a site, as they all
# have the same yaml.
AT_WORK = {
    "WORKLOAD_STEP_SECONDS": "0.5",
    "WORKLOAD_WITHOUT": "datasets,jieba,nltk,rouge_chinese",
    "MS_COMPILER_CACHE_ENABLE": "1",
    "MS_COMPILER_CACHE_PATH": "/tmp/compiled-training",
}
# Seconds; more than anything takes that is waited for, on a machine that is busy with other tests.
PATIENCE = 300.0
# Of an ssh connection, by the time that a host takes to greet when dozens boot at once on two cores.
PATIENT_CONNECTIONS = ("--timeout", "120")
RECAP_LINE = re.compile(r"^(\S+)\s+: ok=(\d+)\s+changed=(\d+)\s+unreachable=(\d+)\s+failed=(\d+)", re.MULTILINE)


@dataclass(frozen=True)
class Recap:
    """What Ansible's recap says of one host."""

    ok: int
    changed: int
    unreachable: int
    failed: int


@dataclass(frozen=True)
class Site:
    """The lab, its inventory, and the control side inside its network."""

    name: str
    state: Path

    @property
    def inventory(self) -> Path:
        return self.state / "inventory"

    def lab_argv(self, *words: str) -> list[str]:
        return [str(BIN / "python"), "-m", "lab", "--name", self.name, *words]

    def lab(self, *words: str) -> str:
        """Run a command of the lab, which has to succeed, and return its output."""
        result = run(self.lab_argv(*words), log=f"{self.name}-lab")
        assert result.returncode == 0, result.stderr
        return result.stdout

    def status(self) -> dict[str, dict[str, Any]]:
        """Return what the lab says of each host."""
        return {host["name"]: host for host in json.loads(self.lab("status", "--json"))["hosts"]}

    def boots(self) -> dict[str, int]:
        """Return how often each host has booted."""
        return {name: host["boots"] for name, host in self.status().items()}

    def inside(self, *words: str | Path) -> list[str]:
        return self.lab_argv("exec", "--", *map(str, words))

    def play(self, playbook: str, *options: str) -> subprocess.CompletedProcess[str]:
        """Run a playbook of the project against the site's inventory."""
        return run(self.inside(*self.play_argv(playbook, *options)), log=f"{self.name}-{Path(playbook).stem}")

    def play_argv(self, playbook: str, *options: str) -> list[str]:
        """Return the command of a play, for a control side inside the lab's network."""
        return [str(BIN / "ansible-playbook"), "-i", str(self.inventory), *PATIENT_CONNECTIONS, playbook, *options]

    def telechat(self, command: str, *options: str) -> subprocess.CompletedProcess[str]:
        """Run a command of telechat-run against the site's inventory."""
        return run(self.telechat_argv(command, *options), log=f"{self.name}-telechat-{command}")

    def telechat_argv(self, command: str, *options: str) -> list[str]:
        return self.inside(BIN / "telechat-run", command, "-i", self.inventory, *options)

    @contextmanager
    def deciding(self) -> Iterator[dict[str, Any]]:
        """Yield the variables that the site's administrators have set, to be changed; they are written at the end."""
        path = self.inventory / "group_vars" / "ascend.yml"
        variables = yaml.safe_load(path.read_text())
        yield variables
        path.write_text(yaml.safe_dump(variables))

    def finetune_options(self, *options: str) -> tuple[str, ...]:
        return ("--config", str(CONFIG), "--dataset", DATASET, "--npus-per-node", "1", *options)

    def start_finetune(self, *options: str) -> subprocess.Popen[str]:
        """Start a finetune and come back when it trains on all nodes."""
        argv = self.telechat_argv("finetune", *self.finetune_options("--json", *options))
        job = subprocess.Popen(
            argv, cwd=ROOT, text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        assert job.stderr is not None
        seen = []
        for line in job.stderr:
            seen.append(line)
            if "loss" in line:
                return job
        raise AssertionError(f"the job ended before its first step ({job.wait()}):\n{''.join(seen)}")

    def on(self, host: str, *words: str) -> str:
        """Run a command on a host and return its output."""
        return self.lab("shell", host, "--", *words)

    def boot_id(self, host: str) -> str:
        """Return the kernel's name for the host's boot."""
        return self.on(host, "cat", "/proc/sys/kernel/random/boot_id").strip()

    def job_processes(self, host: str) -> list[str]:
        """Return the processes of any job on a host, inside its containers too, as `pid command`."""
        script = (
            "import os\n"
            "for pid in filter(str.isdigit, os.listdir('/proc')):\n"
            "    try:\n"
            "        if b'TELECHAT_JOB_ID=' in open(f'/proc/{pid}/environ', 'rb').read():\n"
            "            print(pid, open(f'/proc/{pid}/cmdline').read().replace(chr(0), ' '))\n"
            "    except OSError:\n"
            "        pass\n"
        )
        return self.on(host, "python3", "-c", script).splitlines()


@contextmanager
def new_site(name: str, *options: str) -> Iterator[Site]:
    """Bring up a lab of this name with these options of `lab up`, whatever was left of one; take it down in the end."""
    site = Site(name=name, state=lab_state(name))
    site.lab("down")
    try:
        site.lab("up", *options)
        yield site
    finally:
        site.lab("down")


def run(argv: list[str], *, log: str) -> subprocess.CompletedProcess[str]:
    """Run a command in the checkout and keep its output in build/logs."""
    result = subprocess.run(argv, cwd=ROOT, text=True, capture_output=True, stdin=subprocess.DEVNULL, check=False)
    folder = ROOT / "build" / "logs"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f"{log}.log").open("a") as file:
        file.write(f"$ {shlex.join(argv)}\n{result.stdout}{result.stderr}\nexit code {result.returncode}\n\n")
    return result


def flat(text: str) -> str:
    """Undo the line breaks of Ansible's output."""
    return " ".join(text.split())


def recap(result: subprocess.CompletedProcess[str]) -> dict[str, Recap]:
    """Return Ansible's recap by host."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", result.stdout)
    found = {match[1]: Recap(*(int(number) for number in match.groups()[1:])) for match in RECAP_LINE.finditer(text)}
    assert found, result.stdout + result.stderr
    return found


def interrupt(job: subprocess.Popen[str]) -> None:
    """Press Ctrl-C."""
    job.send_signal(signal.SIGINT)


def report_of(job: subprocess.Popen[str]) -> dict[str, Any]:
    """Wait for a job's end and return its report."""
    stdout, stderr = job.communicate(timeout=PATIENCE)
    assert stdout.strip(), stderr
    document = json.loads(stdout)
    assert isinstance(document, dict)
    return document


def eventually(condition: Any, *, seconds: float = PATIENCE) -> None:
    """Wait until the condition holds; fail when it does not in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come about in time"
        time.sleep(0.2)


def lab_state(name: str) -> Path:
    """Return where the lab of that name keeps its state."""
    return Path(os.environ.get("LAB_STATE", "/var/lib/telechat-lab")) / name
