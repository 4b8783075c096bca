# SPDX-License-Identifier: Apache-2.0
"""A training that ended is resumed from its latest complete checkpoint: command line, SSH and nodes, with a stand-in.

The program that trains writes MindSpore's checkpoint format and reads its own rank's file back, as MindFormers does.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any, Dict, List

import pytest

from tests.contract.test_job_over_ssh import ROOT, Cluster, cluster
from tests.support.local_node import is_running, wait_until

__all__ = ["cluster"]
pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="PID namespaces need root")

TRAINING = f"""\
import json, os, re, struct, sys, time
from pathlib import Path
sys.path.insert(0, {str(ROOT)!r})
from tests.support.checkpoint_files import Tensor, floats, read_checkpoint, write_checkpoint
rank, world_size = (int(os.environ[name]) for name in ("RANK_ID", "MS_WORKER_NUM"))
config = Path(sys.argv[sys.argv.index("--config") + 1]).read_text()
name = re.search(r"^resume_training: (\\S+)", config, re.MULTILINE)
step = 0
if name:
    path = Path("resume") / f"rank_{{rank}}" / name[1].replace("rank_0", f"rank_{{rank}}")
    content = read_checkpoint(path)
    step = struct.unpack("<q", content["step_num"].content)[0]
    print(f"rank {{rank}} goes on from step {{step}} of rank {{int.from_bytes(content['rank'].content, 'little')}}")
for step in range(step + 1, 11):
    while "GATES" in os.environ and not (Path(os.environ["GATES"]) / f"step-{{step}}-{{rank}}").exists():
        time.sleep(0.02)
    print(f"{{{{ Epoch:[  1/  1], step:[{{step:>5}}/   10], loss:[7.5/7.5], per_step_time: 9ms, lr: 0.001", flush=True)
    folder = Path("output/checkpoint") / f"rank_{{rank}}"
    numbers = {{key: Tensor("Int64", (), struct.pack("<q", value))
               for key, value in (("rank", rank), ("epoch_num", 1), ("step_num", step))}}
    file = f"tiny_rank_{{rank}}-1_{{step}}.ckpt"
    write_checkpoint(folder / file, {{"w": floats((4, 4)), **numbers}})
    (folder / "meta.json").write_text(json.dumps({{"last_epoch": 1, "last_step": step, "last_ckpt_file": file}}))
    Path(f"saved-{{step}}-{{rank}}").touch()
    if step == int(os.environ.get("ENDS_AFTER", "0")):
        # As after the collective operation that ends a step: every rank has done it, and one dies.
        job = Path.cwd().parent.name
        while len([*Path.cwd().parents[3].glob(f"root*/jobs/{{job}}/work/saved-{{step}}-*")]) < world_size:
            time.sleep(0.02)
        if rank != world_size - 1:
            time.sleep(600)
        if os.environ.get("BY_SIGKILL"):
            os.kill(os.getpid(), 9)
        raise RuntimeError("chip on fire")
    time.sleep(0.05)
"""
DATA_PARALLEL = "parallel: {parallel_mode: 0}\nload_checkpoint: ''\ntrain_dataset: {data_loader: {dataset_dir: ''}}\n"
CUT = DATA_PARALLEL.replace("parallel_mode: 0", "parallel_mode: 1")


@pytest.fixture
def training(cluster: Cluster) -> Cluster:
    (cluster.folder / "tree" / "run_mindformer.py").write_text(TRAINING)
    (cluster.folder / "config.yaml").write_text(DATA_PARALLEL)
    return cluster


def failed_job(training: Cluster, *words: str) -> str:
    """Return a job that has failed after its sixth step."""
    done = training.finetune("--json", *words, ENDS_AFTER="6")
    assert done.returncode == 1, done.stderr
    return str(json.loads(done.stdout)["job_id"])


def checkpoint(training: Cluster, job_id: str, rank: int, step: int) -> Path:
    folder = training.folder / f"root{rank // 2}" / "jobs" / job_id / "work" / "output" / "checkpoint"
    return folder / f"rank_{rank}" / f"tiny_rank_{rank}-1_{step}.ckpt"


def begun(training: Cluster, report: Dict[str, Any]) -> List[str]:
    """Return what each rank said of where it began."""
    logs = sorted(training.folder.glob(f"root*/jobs/{report['job_id']}/logs/worker_*.log"))
    return [match[0] for log in logs for match in [re.search(r"rank \d goes on from .*", log.read_text())] if match]


def test_every_rank_goes_on_from_its_own_file_of_the_latest_complete_checkpoint(training: Cluster) -> None:
    (training.folder / "config.yaml").write_text(CUT)
    job_id = failed_job(training, "--job-name", "week")
    torn = checkpoint(training, job_id, 3, 6)
    torn.write_bytes(torn.read_bytes()[:-30])
    done = training.run("finetune", "--resume", "latest", "--json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["job_id"].startswith("week-")
    assert (report["state"], report["steps"]) == ("SUCCEEDED", 10)
    assert begun(training, report) == [f"rank {rank} goes on from step 5 of rank {rank}" for rank in range(4)]
    assert f"note: goes on from step 5 (epoch 1) of job {job_id}" in done.stderr
    assert f"note: passed over: node1, rank 3: {torn} is cut off" in done.stderr
    shown = json.loads(training.run("show", report["job_id"], "--json").stdout)
    assert shown["nodes"]["node0"]["record"]["resumes"] == job_id


def test_a_job_that_saved_nothing_since_its_own_resumption(training: Cluster) -> None:
    first = failed_job(training)
    second = json.loads(training.run("finetune", "--resume", first, "--json").stdout)["job_id"]
    for path in training.folder.glob(f"root*/jobs/{second}/work/output/checkpoint/rank_*/*"):
        path.unlink()
    done = training.run("finetune", "--resume", second, "--json")
    assert done.returncode == 0, done.stderr
    assert begun(training, json.loads(done.stdout)) == [
        f"rank {rank} goes on from step 6 of rank {rank}" for rank in range(4)
    ]
    assert f"of job {first}, which {second} had resumed and saved nothing after" in done.stderr


def test_what_is_not_cut_goes_on_with_fewer_nodes(training: Cluster) -> None:
    job_id = failed_job(training)
    done = training.run("finetune", "--resume", job_id, "--exclude", "node0", "--json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert [node["name"] for node in report["nodes"]] == ["node1"]
    assert begun(training, report) == ["rank 0 goes on from step 6 of rank 2", "rank 1 goes on from step 6 of rank 2"]


def test_what_is_cut_goes_on_with_as_many_workers_where_their_files_are(training: Cluster) -> None:
    (training.folder / "config.yaml").write_text(CUT)
    job_id = failed_job(training)
    fewer = training.run("finetune", "--resume", job_id, "--limit", "node1")
    assert fewer.returncode == 3
    assert f"job {job_id} had 4 workers and this one has 2: its model or its optimizer is cut" in fewer.stderr
    for path in (training.folder / "root1" / "jobs" / job_id / "work" / "output").rglob("rank_3/*"):
        path.unlink()
    gone = training.run("finetune", "--resume", job_id)
    assert gone.returncode == 5
    assert "has no step that every rank can load" in gone.stderr


def test_a_job_that_is_killed_goes_on_by_itself(training: Cluster) -> None:
    words = ("--max-restarts", "3", "--restart-pause", "0")
    done = training.finetune("--json", *words, ENDS_AFTER="6", BY_SIGKILL="1")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    (attempt,) = report["attempts"]
    assert "was killed by SIGKILL" in attempt["reason"]
    assert begun(training, report) == [f"rank {rank} goes on from step 6 of rank {rank}" for rank in range(4)]
    assert "restart 1 of 3 in 0 s, after: node" in done.stderr
    record = json.loads(training.run("show", report["job_id"], "--json").stdout)["nodes"]["node1"]["record"]
    assert (record["resumes"], record["restarts"]) == (attempt["job_id"], 1)
    failed = training.finetune("--json", *words, ENDS_AFTER="6")
    assert (failed.returncode, json.loads(failed.stdout)["attempts"]) == (1, [])


def test_a_detached_job_goes_on_while_its_keeper_lives(training: Cluster) -> None:
    words = ("--detach", "--json", "--max-restarts", "3", "--restart-pause", "0")
    started = json.loads(training.finetune(*words, ENDS_AFTER="6", BY_SIGKILL="1").stdout)
    log = Path(started["keeper"]["log"])
    assert log.is_relative_to(training.folder / "home")
    assert log.stat().st_mode & 0o777 == 0o600
    wait_until(lambda: not is_running(started["keeper"]["pid"]))
    assert f"goes on from step 6 (epoch 1) of job {started['job_id']}" in log.read_text()
    jobs = json.loads(training.run("jobs", "--json").stdout)
    assert [job["state"] for job in jobs] == ["SUCCEEDED", "FAILED"]


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["--resume", "none-such"], 3, "no node has a job 'none-such'"),
        (["--resume", "latest"], 3, "has no finetune on these nodes"),
        (["--resume", "x", "--config", "y"], 2, "--config: --resume takes this from the job that it goes on with"),
        (["--resume", "x", "--dp", "2", "--model", "7b"], 2, "--dp, --model: --resume takes this from the job"),
    ],
)
def test_what_can_not_be_resumed(cluster: Cluster, words: List[str], code: int, message: str) -> None:
    done = cluster.run("finetune", *words)
    assert done.returncode == code
    assert message in done.stderr


def test_a_job_that_runs_and_one_that_never_saved(cluster: Cluster) -> None:
    job_id = json.loads(cluster.finetune("--detach", "--json", LINGER="100").stdout)["job_id"]
    runs = cluster.run("finetune", "--resume", job_id)
    assert runs.returncode == 5
    assert f"job {job_id} still runs on node0, node1" in runs.stderr
    cluster.run("stop", job_id, "--force")
    empty = cluster.run("finetune", "--resume", job_id)
    assert empty.returncode == 5
    assert f"job {job_id} has saved no checkpoint to resume from" in empty.stderr
