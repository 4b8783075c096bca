# SPDX-License-Identifier: Apache-2.0
"""Documents of a job that a newer release wrote: they are refused by name, and the job can be stopped all the same.

The newer release is this one with higher schema numbers, as a node's runtime while the job is started.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Iterator, Tuple

import pytest

from telechat_runtime.job import schemas
from tests.contract.test_job_on_this_machine import Machine, wait_for
from tests.support.local_node import wait_until
from tests.support.this_machine import write_inventory

ROOT = Path(__file__).parents[2]
NEWER = 99
RUNTIME = f"""\
import sys
sys.path.insert(0, {str(ROOT)!r})
from telechat_runtime.job import schemas
schemas.NODE_PLAN = schemas.RECORD = schemas.STATE = {NEWER}
from telechat_runtime.cli.main import main
main()
"""


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Tuple[Machine, str]]:
    """Return a job that runs, and that a newer runtime has started."""
    machine = Machine(tmp_path)
    path = tmp_path / "newer.py"
    path.write_text(RUNTIME)
    tree = {"telechat_tree": str(tmp_path / "tree"), "telechat_env": {"UNTIL": str(tmp_path / "end")}}
    write_inventory(tmp_path, telechat_runtime_path=str(path), telechat_python=sys.executable, **tree)
    started = machine.run(machine.finetune("--detach", "--json"))
    assert started.returncode == 0, started.stderr
    write_inventory(tmp_path, **tree)
    job_id = json.loads(started.stdout)["job_id"]
    wait_until(lambda: "step" in (machine.jobs / job_id / "logs" / "worker_0.log").read_text())
    yield machine, job_id
    (tmp_path / "end").touch()
    wait_until(lambda: not machine.workers())


def test_its_job_is_shown_followed_and_stopped(running: Tuple[Machine, str]) -> None:
    machine, job_id = running
    assert json.loads((machine.jobs / job_id / "state.json").read_text())["schema"] == NEWER
    (job,) = machine.status()["jobs"]
    assert (job["job_id"], job["state"]) == (job_id, "RUNNING")
    following = machine.start(machine.command("logs", "--follow", job_id))
    wait_for(following, "step:[")
    stopped = machine.run(machine.command("stop", job_id))
    assert stopped.returncode == 0, stopped.stderr
    following.communicate(timeout=60)
    assert machine.workers() == []
    assert machine.status()["jobs"][0]["state"] == "STOPPED"


def test_its_record_and_its_plan_are_refused(running: Tuple[Machine, str]) -> None:
    machine, job_id = running
    folder = machine.jobs / job_id
    for words in (
        ("show", job_id),
        ("diff", job_id, job_id),
        ("attach", job_id),
        ("replay", job_id),
        ("stop", job_id, "--at-checkpoint"),
    ):
        assert_refused(machine, words, folder / "record.json", schemas.RECORD)
    assert machine.workers()
    record = json.loads((folder / "record.json").read_text())
    (folder / "record.json").write_text(json.dumps({**record, "schema": schemas.RECORD}))
    assert_refused(machine, ("replay", job_id), folder / "plan.json", schemas.NODE_PLAN)


def assert_refused(machine: Machine, words: Tuple[str, ...], path: Path, known: int) -> None:
    done = machine.run(machine.command(*words))
    assert done.returncode == 4, done
    assert f"here: {path} has schema {NEWER}, and schemas up to {known} are known here" in done.stderr
    assert "next: " in done.stderr
    assert "Traceback" not in done.stderr
