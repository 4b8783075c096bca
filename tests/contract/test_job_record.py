# SPDX-License-Identifier: Apache-2.0
"""Every job leaves a record on its nodes, which any control side can show, compare and run again: over SSH."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, Dict, Tuple

import pytest

from tests.contract.test_job_over_ssh import Cluster, cluster

__all__ = ["cluster"]
pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="PID namespaces need root")


def finetune(cluster: Cluster, *words: str, **env: str) -> str:
    done = cluster.finetune("--json", *words, **env)
    assert done.stdout, done.stderr
    return str(json.loads(done.stdout)["job_id"])


def test_show_diff_and_replay(cluster: Cluster) -> None:
    data = cluster.folder / "data" / "train.mindrecord"
    data.write_bytes(b"x" * 10)
    first = finetune(cluster, "--epochs", "2", OBS_TOKEN="s3cret")
    shown, text = _show(cluster, first)
    assert [node["outcome"]["state"] for node in shown["nodes"].values()] == ["SUCCEEDED", "SUCCEEDED"]
    record = shown["nodes"]["node1"]["record"]
    assert record["env"]["OBS_TOKEN"] == "********"
    assert (record["inputs"]["dataset"]["files"], record["inputs"]["dataset"]["bytes"]) == (1, 10)
    assert "+  epochs: 2" in text
    assert f"job {first}: finetune of " in text
    assert "s3cret" not in text + json.dumps(shown)

    data.write_bytes(b"y" * 10)
    second = finetune(cluster, "--epochs", "3", FAILING_RANK="2", OBS_TOKEN="s3cret")
    done = cluster.run("diff", first, second)
    assert done.returncode == 0, done.stderr
    assert "rank 1.state\n  - SUCCEEDED\n  + FAILED" in done.stdout
    assert "rank 0.env.FAILING_RANK\n  - (none)\n  + 2" in done.stdout
    assert "rank 0.inputs.dataset.sample\n" in done.stdout
    assert "-  epochs: 2\n+  epochs: 3" in done.stdout
    assert "rank 0.argv" not in done.stdout
    assert "s3cret" not in done.stdout

    dry = json.loads(cluster.run("replay", first, "--dry-run", "--json").stdout)
    assert dry["nodes"][0]["env"]["OBS_TOKEN"] == "********"
    done = cluster.run("replay", first, "--json")
    assert done.returncode == 0, done.stderr
    again = json.loads(done.stdout)["job_id"]
    plans = [
        json.loads((cluster.folder / "root1/jobs" / job_id / "plan.json").read_text()) for job_id in (first, again)
    ]
    assert plans[1]["env"]["OBS_TOKEN"] == "s3cret"
    assert plans[1]["argv"] == [word.replace(first, again) for word in plans[0]["argv"]]
    assert plans[1]["files"] == plans[0]["files"]
    done = cluster.run("diff", first, again)
    assert [line for line in done.stdout.splitlines() if line.startswith("rank")] == [
        "rank 0.inputs.dataset.sample",
        "rank 1.inputs.dataset.sample",
    ]


def test_a_replay_is_refused_on_another_cluster(cluster: Cluster) -> None:
    job_id = finetune(cluster)
    done = cluster.run("replay", job_id, "--limit", "node1")
    assert done.returncode == 3, done.stderr
    assert "node0 is not in the inventory any more, or not in --limit" in done.stderr
    cluster.variables["ascend_npu_count"] = 4
    done = cluster.run("replay", job_id)
    assert done.returncode == 3
    assert "node0: npu_count was 2, is 4" in done.stderr
    assert len(list((cluster.folder / "root0" / "jobs").iterdir())) == 1


def test_a_changed_dataset_is_said_before_a_replay(cluster: Cluster) -> None:
    job_id = finetune(cluster)
    (cluster.folder / "data" / "new.mindrecord").write_text("more")
    done = cluster.run("replay", job_id, "--dry-run")
    assert done.returncode == 0, done.stderr
    assert f"node0: the dataset {cluster.folder}/data is not what it was when the job began" in done.stdout


def test_a_job_that_nobody_knows(cluster: Cluster) -> None:
    for words in (("show", "no-such-job"), ("diff", "no-such-job", "other"), ("replay", "no-such-job")):
        done = cluster.run(words[0], *words[1:])
        assert done.returncode == 3
        assert "no node has a job 'no-such-job'" in done.stderr
        assert "Traceback" not in done.stderr


def _show(cluster: Cluster, job_id: str) -> Tuple[Dict[str, Any], str]:
    done = cluster.run("show", job_id)
    assert done.returncode == 0, done.stderr
    return json.loads(cluster.run("show", job_id, "--json").stdout), done.stdout


def test_the_secret_is_in_no_file_that_others_may_read(cluster: Cluster) -> None:
    job_id = finetune(cluster, OBS_TOKEN="s3cret")
    folder = Path(cluster.folder / "root0" / "jobs" / job_id)
    for path in folder.rglob("*"):
        if path.is_file() and path.stat().st_mode & 0o077:
            assert "s3cret" not in path.read_text(), path
