# SPDX-License-Identifier: Apache-2.0
"""A running training is stopped when it has saved a checkpoint, and goes on from exactly that one.

Each step of each rank waits for its gate, a file, so that a test says what is saved when.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
from pathlib import Path
from typing import Iterator, List

import pytest

from tests.contract.test_job_over_ssh import Cluster, cluster
from tests.contract.test_resume import CUT, begun, training
from tests.support.local_node import wait_until

__all__ = ["cluster", "training"]
pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="PID namespaces need root")
RANKS = range(4)


class GatedJob:
    """A detached job that takes a step on a rank when its gate is opened."""

    def __init__(self, cluster: Cluster) -> None:
        (cluster.folder / "config.yaml").write_text(CUT)
        self.cluster = cluster
        self.gates = cluster.folder / "gates"
        self.gates.mkdir()
        started = cluster.finetune("--detach", "--json", GATES=str(self.gates))
        assert started.returncode == 0, started.stderr
        self.job_id = str(json.loads(started.stdout)["job_id"])

    def save(self, step: int, *ranks: int) -> None:
        """Let ranks, or all of them, take a step; return when they have saved it."""
        for rank in ranks or RANKS:
            (self.gates / f"step-{step}-{rank}").touch()
            saved = self.folder(rank) / f"saved-{step}-{rank}"
            wait_until(saved.exists)

    def folder(self, rank: int) -> Path:
        return self.cluster.folder / f"root{rank // 2}" / "jobs" / self.job_id / "work"

    def states(self) -> List[str]:
        return [json.loads((self.folder(rank).parent / "state.json").read_text())["state"] for rank in (0, 2)]

    def looks(self) -> int:
        """Return how often each node has been asked for its steps, at least."""
        return min(sum(" saved-steps " in f"{each} " for each in server.commands) for server in self.cluster.servers)

    @contextlib.contextmanager
    def stopping(self, *words: str) -> Iterator[subprocess.Popen[str]]:
        """Yield a stop that waits for a checkpoint."""
        with self.cluster.begin("stop", self.job_id, "--at-checkpoint", "--json", *words) as process:
            try:
                assert process.stderr
                said = process.stderr.readline()
                assert said.startswith("waiting up to "), said
                yield process
            finally:
                process.kill()


def test_a_job_stops_at_its_next_checkpoint_and_goes_on_from_there(training: Cluster) -> None:
    job = GatedJob(training)
    for step in (1, 2, 3):
        job.save(step)
    with job.stopping() as stop:
        job.save(4, 0, 1, 2)
        # The first of two more looks has begun after that save, and has ended.
        enough = job.looks() + 2
        wait_until(lambda: job.looks() >= enough)
        assert (stop.poll(), job.states()) == (None, ["RUNNING", "RUNNING"])
        job.save(4, 3)
        out, err = stop.communicate(timeout=120)
    assert stop.returncode == 0, err
    report = json.loads(out)
    assert report["checkpoint"] == {"step": 4, "epoch": 1}
    assert [report["nodes"][name]["state"] for name in ("node0", "node1")] == job.states() == ["STOPPED", "STOPPED"]
    assert training.workers() == []
    resumed = training.run("finetune", "--resume", job.job_id, "--json")
    assert resumed.returncode == 0, resumed.stderr
    assert begun(training, json.loads(resumed.stdout)) == [
        f"rank {rank} goes on from step 4 of rank {rank}" for rank in RANKS
    ]


def test_what_leaves_the_job_running(training: Cluster) -> None:
    job = GatedJob(training)
    none = training.run("stop", job.job_id, "--at-checkpoint", "--checkpoint-timeout", "0")
    assert none.returncode == 5
    assert f"job {job.job_id} has saved no complete checkpoint yet" in none.stderr
    with job.stopping() as stop:
        stop.send_signal(signal.SIGINT)
        _, err = stop.communicate(timeout=120)
    assert stop.returncode == 130
    assert f"nothing was stopped, job {job.job_id} is left as it was" in err
    late = training.run("stop", job.job_id, "--at-checkpoint", "--checkpoint-timeout", "1")
    assert late.returncode == 5
    assert training.run("stop", job.job_id, "--at-checkpoint", "--force").returncode == 2
    assert job.states() == ["RUNNING", "RUNNING"]
    job.save(1)
    done = training.run("stop", job.job_id, "--at-checkpoint", "--checkpoint-timeout", "0")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "stopped after the checkpoint of step 1 (epoch 1)"
    assert job.states() == ["STOPPED", "STOPPED"]


def test_a_job_that_ends_while_it_is_waited_for(training: Cluster) -> None:
    (training.folder / "tree" / "run_mindformer.py").write_text(
        (training.folder / "tree" / "run_mindformer.py").read_text().replace("range(step + 1, 11)", "range(1, 2)")
        + "while not (Path(os.environ['GATES']) / 'end').exists():\n    time.sleep(0.02)\n"
    )
    job = GatedJob(training)
    job.save(1)
    with job.stopping() as stop:
        (job.gates / "end").touch()
        out, err = stop.communicate(timeout=120)
    assert stop.returncode == 0, err
    report = json.loads(out)
    assert [each["state"] for each in report["nodes"].values()] == ["SUCCEEDED", "SUCCEEDED"]
    assert report["checkpoint"] == {"step": 1, "epoch": 1}
