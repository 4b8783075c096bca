# SPDX-License-Identifier: Apache-2.0
"""playbooks/runtime.yml under a running job: the file of the node runtime is replaced, its processes run on.

Python reads the modules of a zipapp when they are imported, from whatever lies at its path then. So a supervisor, its
guard and a watch have to have all of theirs before the job runs.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, Dict, Iterator

import pytest

from telechat_runtime.zipapp import build
from tests.support.local_node import LocalNode, wait_until

GO = "while [ ! -e go ]; do sleep 0.1; done; "


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("built"))[0]


class Runtime:
    """A node whose jobs are started by a zipapp, which `replace` replaces as Ansible does: by a rename."""

    def __init__(self, node: LocalNode, folder: Path, built: Path) -> None:
        self.node = node
        self.path = folder / "telechat-run.pyz"
        shutil.copy(built, self.path)

    def argv(self, *words: str) -> list[str]:
        return [sys.executable, str(self.path), "node", *words]

    def start(self, worker: str) -> str:
        request = self.node.request(worker)
        done = subprocess.run(
            self.argv("start"), input=json.dumps(request), capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done
        job_id = str(request["job_id"])
        self.node.worker_pid(job_id, 1)
        return job_id

    def replace(self) -> None:
        fresh = self.path.with_name("fresh")
        fresh.write_bytes(b"\xff another release \x00" * 200_000)
        fresh.replace(self.path)

    def go(self, job_id: str) -> None:
        (Path(self.node.paths(job_id).work) / "go").touch()

    def supervisor_log(self, job_id: str) -> str:
        return Path(self.node.paths(job_id).supervisor_log).read_text(encoding="utf-8")


@pytest.fixture
def runtime(tmp_path: Path, built: Path) -> Iterator[Runtime]:
    node = LocalNode(tmp_path)
    yield Runtime(node, tmp_path, built)
    node.clean_up()


def ended(runtime: Runtime, job_id: str) -> Dict[str, Any]:
    state = runtime.node.wait_for_end(job_id)
    assert "Traceback" not in runtime.supervisor_log(job_id)
    assert runtime.node.status()["lease"] is None
    return state


def test_a_job_succeeds_and_whoever_watches_it_is_told(runtime: Runtime) -> None:
    job_id = runtime.start(GO + "echo done")
    watch = subprocess.Popen(
        runtime.argv("watch", "--job", job_id), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert watch.stdin is not None
    assert watch.stdout is not None
    watch.stdin.write(json.dumps({"job_root": str(runtime.node.job_root)}) + "\n")
    watch.stdin.flush()
    assert json.loads(watch.stdout.readline())["event"]
    runtime.replace()
    runtime.go(job_id)
    assert ended(runtime, job_id)["state"] == "SUCCEEDED"
    events = [json.loads(line) for line in watch.stdout]
    watch.stdin.close()
    watch.stdout.close()
    assert watch.wait() == 0
    assert [event["line"] for event in events if event["event"] == "log"] == ["done", "done"]
    assert events[-1]["state"] == "SUCCEEDED"


def test_a_worker_fails(runtime: Runtime) -> None:
    job_id = runtime.start(GO + "echo 'RuntimeError: chip on fire'; exit 3")
    runtime.replace()
    runtime.go(job_id)
    state = ended(runtime, job_id)
    assert state["state"] == "FAILED"
    assert "chip on fire" in state["reason"]


def test_a_job_is_stopped_by_the_new_runtime(runtime: Runtime) -> None:
    job_id = runtime.start("sleep 600")
    runtime.replace()
    assert runtime.node.stop(job_id, grace_seconds=5).document["left"] == []
    assert ended(runtime, job_id)["state"] == "STOPPED"


def test_a_supervisor_is_killed_and_its_guard_ends_the_job(runtime: Runtime) -> None:
    job_id = runtime.start("sleep 600")
    runtime.replace()
    os.kill(runtime.node.state(job_id)["supervisor"]["pid"], signal.SIGKILL)
    wait_until(lambda: runtime.node.state(job_id)["state"] == "FAILED")
    assert ended(runtime, job_id)["reason"] == "its supervisor was killed"
