# SPDX-License-Identifier: Apache-2.0
"""Trainings on the lab's servers that something happens to, and the record of what it cost (docs/reliability.md)."""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from telechat_runtime.job.training_log import Step, parse_line
from tests.lab.site import PATIENCE, ROOT, Site

RECORDS = ROOT / "build" / "chaos"
HOSTS = ("node0", "node1")
SAVE_EVERY = 5
# The container's clock and the control side's, as clock_shift.c moves them.
CLOCK_LIBRARY = "libclockshift.so"
CLOCK_FILE = "clock-shift"
_JOB_ROOT = "var/lib/telechat"
_POLL_SECONDS = 0.1


@dataclass
class Row:
    """One row of the table: what was broken, what the user saw, how long it took, what was lost."""

    name: str
    broken: str
    seen: str
    seconds: dict[str, float] = field(default_factory=dict)
    lost: str = ""

    def measured(self, what: str, since: float) -> None:
        """Note how long something took."""
        self.seconds[what] = round(time.monotonic() - since, 1)

    def write(self) -> None:
        """Keep the row for the table."""
        RECORDS.mkdir(parents=True, exist_ok=True)
        (RECORDS / f"{self.name}.json").write_text(json.dumps(vars(self), indent=1, ensure_ascii=False) + "\n")


@dataclass(frozen=True)
class Training:
    """One job on both servers, seen by the files that it writes there."""

    site: Site
    job_id: str

    def folder(self, host: str) -> Path:
        """Return the job's folder, as the machine sees the server's disk."""
        return self.site.state / "hosts" / host / "upper" / _JOB_ROOT / "jobs" / self.job_id

    def state(self, host: str) -> dict[str, Any]:
        return dict(json.loads((self.folder(host) / "state.json").read_text()))

    def step(self) -> int:
        """Return the newest step of rank 0."""
        log = self.folder("node0") / "logs" / "worker_0.log"
        steps = [found for found in map(parse_line, _lines(log)) if isinstance(found, Step)]
        return steps[-1].number if steps else 0

    def resumed_from(self) -> int:
        """Return the step before the first one of rank 0."""
        log = self.folder("node0") / "logs" / "worker_0.log"
        return next(found.number for found in map(parse_line, _lines(log)) if isinstance(found, Step)) - 1

    def wait_for_step(self, number: int) -> None:
        wait_until(lambda: self.step() >= number, f"{self.job_id} did not come to step {number}")

    def wait_for_end(self) -> dict[str, dict[str, Any]]:
        """Return the state of each server's part, once both have ended."""
        wait_until(
            lambda: all(self.state(host)["state"] not in ("STARTING", "RUNNING") for host in HOSTS),
            f"{self.job_id} did not end",
        )
        return {host: self.state(host) for host in HOSTS}

    def pid(self, host: str, *, role: str | None = None, rank: int | None = None) -> str:
        """Return a process's id in the container, by its role or rank."""
        processes = self.state(host)["processes"]
        return str(next(each["pid"] for each in processes if (each["role"], each["rank"]) == (role, rank)))

    def kill(self, host: str, pid: str) -> None:
        self.site.on(host, "docker", "exec", "telechat", "kill", "-9", pid)

    def report(self) -> dict[str, Any]:
        """Return what `attach` tells of the job that has ended."""
        done = self.site.telechat("attach", self.job_id, "--json")
        assert done.stdout, done.stderr
        return dict(json.loads(done.stdout))


def start(site: Site, *options: str) -> Training:
    """Start a detached training and return when it trains."""
    done = site.telechat("finetune", *training_options(site, "--detach", "--json", *options))
    assert done.returncode == 0, done.stderr
    training = Training(site, json.loads(done.stdout)["job_id"])
    training.wait_for_step(SAVE_EVERY + 2)
    return training


def training_options(site: Site, *options: str) -> tuple[str, ...]:
    """Return the options of a training that is long enough, and saves often."""
    saving = ("--set", f"callbacks.1.save_checkpoint_steps={SAVE_EVERY}", "--set", "callbacks.1.keep_checkpoint_max=3")
    return site.finetune_options("--epochs", "500", *saving, *options)


class Foreground:
    """A `telechat-run finetune` that is watched; its lines are kept in a file."""

    def __init__(self, site: Site, name: str, *options: str, env: dict[str, str] | None = None) -> None:
        self.site = site
        self.log = RECORDS / f"{name}.log"
        self._heard = 0
        RECORDS.mkdir(parents=True, exist_ok=True)
        argv = site.telechat_argv("finetune", *training_options(site, *options))
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                argv,
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, **(env or {})},
            )

    def jobs(self) -> list[str]:
        """Return the jobs that it has begun, the restarts among them."""
        return re.findall(r"^job (\S+): \d+ nodes", self.log.read_text(), re.MULTILINE)

    def training(self, number: int = 0) -> Training:
        """Return one of its jobs, once it trains."""
        wait_until(lambda: len(self.jobs()) > number, f"{self.log} shows no job {number + 1}")
        training = Training(self.site, self.jobs()[number])
        training.wait_for_step(1)
        return training

    def wait_for(self, text: str) -> None:
        """Wait for a text after the last one that was waited for."""
        wait_until(lambda: text in self.log.read_text()[self._heard :], f"{self.log} never said {text!r}")
        self._heard = self.log.read_text().index(text, self._heard) + len(text)

    def wait(self) -> int:
        return self.process.wait(timeout=PATIENCE)


def wait_until(condition: Callable[[], bool], message: str) -> None:
    """Wait until the condition holds; what can't be looked at yet does not hold."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            if condition():
                return
        except (OSError, ValueError, StopIteration):
            pass
        assert time.monotonic() < deadline, message
        time.sleep(_POLL_SECONDS)


def assert_nothing_left(site: Site) -> None:
    """Check that no process of a job is left on a server, and that all are free."""
    for host in HOSTS:
        assert site.job_processes(host) == [], host

    def all_are_free() -> bool:
        nodes = json.loads(site.telechat("status", "--json").stdout)["nodes"]
        return [node["lease"] for node in nodes.values()] == [None, None]

    wait_until(all_are_free, "a node is not free")


@contextmanager
def ended(foreground: Foreground) -> Iterator[Foreground]:
    """Stop what a test leaves running."""
    try:
        yield foreground
    finally:
        if foreground.process.poll() is None:
            foreground.process.kill()
            foreground.process.wait()
            for job_id in foreground.jobs()[-1:]:
                foreground.site.telechat("stop", job_id, "--force")


def _lines(path: Path) -> list[str]:
    return path.read_text(errors="replace").splitlines()
