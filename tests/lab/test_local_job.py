# SPDX-License-Identifier: Apache-2.0
"""MindFormers finetunes for real on this machine, through the node protocol alone: no SSH, no container."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from telechat_runtime.job.training_log import Step, parse_line
from tests.support.this_machine import free_port

pytestmark = pytest.mark.cpu

ROOT = Path(__file__).resolve().parents[2]
CONFIG = ROOT / "lab" / "workload" / "finetune_tiny.yaml"
SHIM = ROOT / "lab" / "workload" / "cpu_shim"
ENTRY = ROOT / "telechat_runtime" / "node" / "programs" / "run_mindformer.py"
LONG = 500  # epochs: it is stopped long before


@dataclass
class LocalJob:
    """One job on this machine, driven as the control side drives a node."""

    python: Path
    dataset: Path
    job_root: Path
    job_id: str = field(default_factory=lambda: f"test-{uuid.uuid4().hex[:12]}")

    @property
    def folder(self) -> Path:
        return self.job_root / "jobs" / self.job_id

    def start(self, *, workers: int, epochs: int | None = None) -> None:
        program = [str(self.folder / "work/run_mindformer.py"), "--config", str(self.folder / "work/config.yaml")]
        program += ["--train_dataset_dir", str(self.dataset), "--use_parallel", str(workers > 1)]
        program += ["--epochs", str(epochs)] if epochs else []
        argv = [str(self.python), *program] if workers == 1 else [*self._msrun(workers), "python3", *program]
        answer = self.node(
            "start",
            {
                "job_id": self.job_id,
                "owner": "tests",
                "kind": "finetune",
                "node_rank": 0,
                "node_count": 1,
                "first_rank": 0,
                "local_worker_num": workers,
                "job_root": str(self.job_root),
                "argv": argv,
                "env": {"PYTHONPATH": str(SHIM), "PYTHONUNBUFFERED": "1", "RANK_TABLE_FILE": None},
                "path": [str(self.python.parent)],
                "env_script": None,
                "files": {"config.yaml": CONFIG.read_text(), "run_mindformer.py": ENTRY.read_text()},
                "output": "msrun.log" if workers > 1 else "worker_0.log",
                "grace_seconds": 5,
            },
        )
        assert answer["state"] == "RUNNING", answer

    def _msrun(self, workers: int) -> list[str]:
        port = self.node("probe", {"job_root": str(self.job_root), "port": free_port()})["port"]["free"]
        sizes = [f"--worker_num={workers}", f"--local_worker_num={workers}", "--node_rank=0"]
        return ["msrun", *sizes, f"--master_port={port}", f"--log_dir={self.folder / 'logs'}", "--join=True"]

    def watch(self) -> Iterator[dict[str, Any]]:
        argv = [sys.executable, "-m", "telechat_runtime", "node", "watch", "--job", self.job_id]
        request = json.dumps({"job_root": str(self.job_root), "ranks": [0], "offsets": {}, "until_eof": True}) + "\n"
        with subprocess.Popen(argv, cwd=ROOT, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(request)
            process.stdin.flush()
            yield from map(json.loads, process.stdout)

    def wait_for_a_step(self) -> None:
        for event in self.watch():
            if event["event"] == "log" and isinstance(parse_line(event["line"]), Step):
                return
        raise AssertionError(f"the job ended without a step: {self.state()}")

    def end(self) -> dict[str, Any]:
        """Watch to the end and return the last state."""
        return [event for event in self.watch() if event["event"] == "state"][-1]

    def stop(self) -> dict[str, Any]:
        return self.node("stop", {"job_root": str(self.job_root), "grace_seconds": 5}, "--job", self.job_id)

    def state(self) -> dict[str, Any]:
        state: dict[str, Any] = json.loads((self.folder / "state.json").read_text())
        return state

    def lease(self) -> Any:
        return self.node("status", {"job_root": str(self.job_root)})["lease"]

    def node(self, command: str, request: dict[str, Any], *words: str) -> dict[str, Any]:
        argv = [sys.executable, "-m", "telechat_runtime", "node", command, *words]
        result = subprocess.run(
            argv, cwd=ROOT, text=True, input=json.dumps(request), capture_output=True, check=False, timeout=120
        )
        assert result.returncode == 0, result.stdout + result.stderr
        answer: dict[str, Any] = json.loads(result.stdout)
        return answer

    def processes(self) -> list[int]:
        """Every process that carries the job's id, found without the product's own search."""
        mark = f"TELECHAT_JOB_ID={self.job_id}".encode()
        found = []
        for environ in Path("/proc").glob("[0-9]*/environ"):
            try:
                if mark in environ.read_bytes().split(b"\0"):
                    found.append(int(environ.parent.name))
            except OSError:
                continue
        return found


@pytest.fixture
def job(mindspore_python: Path, dataset: Path, tmp_path: Path) -> Iterator[LocalJob]:
    job = LocalJob(python=mindspore_python, dataset=dataset, job_root=tmp_path / "root")
    yield job
    for pid in job.processes():
        os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize("workers", [1, 2])
def test_finetune_learns(job: LocalJob, workers: int) -> None:
    job.start(workers=workers)
    events = list(job.watch())
    assert events[-1]["event"] == "state"
    assert events[-1]["state"] == "SUCCEEDED", events[-1]
    steps = [step for event in events if event["event"] == "log" and (step := parse_line(event["line"]))]
    losses = [step.loss for step in steps if isinstance(step, Step)]
    assert len(losses) >= 30
    # Untrained, each of the 2048 tokens is as likely as any other: ln 2048 = 7.6.
    assert losses[0] > 7
    assert sum(losses[-5:]) / 5 < 5
    assert len(list(job.folder.glob("work/output/checkpoint/rank_*/*.ckpt"))) == workers
    assert job.processes() == []
    assert job.lease() is None


def test_stop_in_the_middle_leaves_no_process(job: LocalJob) -> None:
    job.start(workers=2, epochs=LONG)
    job.wait_for_a_step()
    running = job.processes()
    assert len(running) >= 4  # msrun, the scheduler, two workers
    answer = job.stop()
    assert answer["state"] == "STOPPED"
    assert answer["left"] == []
    assert set(running) <= set(answer["ended"])
    assert job.processes() == []
    assert job.lease() is None


def test_a_killed_worker_fails_the_job(job: LocalJob) -> None:
    job.start(workers=2, epochs=LONG)
    job.wait_for_a_step()
    worker = next(process for process in job.state()["processes"] if process["rank"] == 1)
    os.kill(worker["pid"], signal.SIGKILL)
    last = job.end()
    assert last["state"] == "FAILED"
    assert last["failed_rank"] == 1
    assert "SIGKILL" in last["reason"]
    assert job.processes() == []
    assert job.lease() is None
