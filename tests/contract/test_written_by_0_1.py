# SPDX-License-Identifier: Apache-2.0
"""What release 0.1 wrote, on nodes and on the control side, is still read; `written_by_0_1/` holds its own files.

They come from a job that succeeded, one that failed, one that was stopped and one that still ran, on two nodes; from a
fleet upgrade that had ended and one that was killed; and from `--json`. Only names, times and paths were changed.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, List

import pytest

from telechat_runtime.upgrade.record import Record, unfinished
from tests.support.checkpoint_files import Tensor, floats, write_checkpoint
from tests.support.control_side import telechat_run
from tests.support.this_machine import free_port

ROOT = Path(__file__).parents[2]
FILES = Path(__file__).parent / "written_by_0_1"
GOOD, FAILED, STOPPED, RUNNING = (
    f"{name}-20260115-080000-00000{number}" for number, name in enumerate(("good", "failed", "stopped", "running"), 1)
)
ENDED, KILLED = "24.1.rc3-20260115T080000Z-0000", "24.1.rc3-20260115T080001Z-0010"
BEFORE = {"driver": "23.0.3", "firmware": "7.1.0.5.220"}


class Site:
    """Two nodes of this machine, each with the job root that 0.1 left there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("root0", "root1"):
            self._copy(name)
        for name in ("bin", "tree", "data"):
            (folder / name).mkdir()
        (folder / "tree" / "run_mindformer.py").write_text("")
        (folder / "bin" / "msrun").symlink_to("/bin/true")
        (folder / "bin" / "python3").write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
        (folder / "bin" / "python3").chmod(0o755)
        (folder / "config.yaml").write_text("train_dataset: {data_loader: {dataset_dir: ''}}\n")
        self._write_inventory()

    def run(self, command: str, *words: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [*telechat_run(), command, "-i", str(self.folder / "hosts.yml"), *words],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert "Traceback" not in done.stderr, done.stderr
        return done

    def document(self, command: str, *words: str) -> Any:
        done = self.run(command, *words, "--json")
        assert done.stdout, done.stderr
        return json.loads(done.stdout)

    def shown(self, name: str) -> Any:
        """Return what 0.1 itself printed with --json."""
        return json.loads(at(self.folder, (FILES / "shown" / f"{name}.json").read_text()))

    def save_checkpoints(self, step: int) -> None:
        """Write what the failed job's workers had saved: a file of MindSpore for each rank."""
        for rank in range(4):
            folder = self.folder / f"root{rank // 2}/jobs/{FAILED}/work/output/checkpoint/rank_{rank}"
            numbers = {"epoch_num": 1, "step_num": step}
            scalars = {name: Tensor("Int64", (), value.to_bytes(8, "little")) for name, value in numbers.items()}
            write_checkpoint(folder / f"tiny_rank_{rank}-1_{step}.ckpt", {"w": floats((4, 4)), **scalars})

    def _copy(self, name: str) -> None:
        shutil.copytree(FILES / name, self.folder / name)
        for path in (self.folder / name).rglob("*"):
            if path.is_file():
                path.write_text(at(self.folder, path.read_text()))

    def _write_inventory(self) -> None:
        hosts = {
            f"node{index}": {
                "ansible_connection": "local",
                "ascend_node_addr": "127.0.0.1",
                "telechat_job_root": str(self.folder / f"root{index}"),
            }
            for index in range(2)
        }
        common = {
            "ascend_npu_count": 2,
            "telechat_container_name": "",
            "telechat_runtime_path": "",
            "telechat_python": str(self.folder / "bin" / "python3"),
            "telechat_tree": str(self.folder / "tree"),
            "telechat_device_target": "CPU",
            "telechat_master_port": free_port(),
        }
        (self.folder / "hosts.yml").write_text(json.dumps({"ascend": {"hosts": hosts, "vars": common}}))


def at(folder: Path, text: str) -> str:
    """Put this machine's paths into a file of 0.1."""
    return text.replace("@FOLDER@", str(folder)).replace("@PYTHON@", sys.executable)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def assert_holds(found: Any, expected: Any, where: str = "") -> None:
    """See that a document has all that another one has; fields that came later may be there too."""
    if isinstance(expected, dict):
        assert isinstance(found, dict), where
        for name, value in expected.items():
            assert name in found, f"{where}.{name} is missing"
            assert_holds(found[name], value, f"{where}.{name}")
    elif isinstance(expected, list):
        assert isinstance(found, list), where
        assert len(found) == len(expected), where
        for number, value in enumerate(expected):
            assert_holds(found[number], value, f"{where}[{number}]")
    else:
        assert found == expected, where


@pytest.mark.parametrize("job_id", [GOOD, FAILED, STOPPED])
def test_show_prints_what_it_printed_then(site: Site, job_id: str) -> None:
    assert_holds(site.document("show", job_id), site.shown(f"show-{job_id.partition('-')[0]}"))


def test_show_is_readable(site: Site) -> None:
    text = site.run("show", GOOD)
    assert text.returncode == 0, text.stderr
    assert "with telechat-run 0.1.0" in text.stdout
    assert "s3cret" not in text.stdout


def test_diff_finds_the_differences_that_it_found_then(site: Site) -> None:
    assert_holds(site.document("diff", GOOD, FAILED), site.shown("diff"))


def test_status_tells_the_end_of_each_job(site: Site) -> None:
    found = site.document("status")
    states = {job["job_id"]: [node["state"] for node in job["nodes"].values()] for job in found["jobs"]}
    assert states == {
        GOOD: ["SUCCEEDED", "SUCCEEDED"],
        FAILED: ["STOPPED", "FAILED"],
        STOPPED: ["STOPPED", "STOPPED"],
        RUNNING: ["LOST", "LOST"],
    }
    assert {name: node["lease"] for name, node in found["nodes"].items()} == {"node0": None, "node1": None}
    failed = next(job["nodes"] for job in found["jobs"] if job["job_id"] == FAILED)
    assert (failed["node1"]["reason"], failed["node1"]["failed_rank"]) == ("rank 3: RuntimeError: chip on fire", 3)
    then = next(job["nodes"] for job in site.shown("status")["jobs"] if job["job_id"] == FAILED)
    assert_holds(failed, then)
    nodes = site.run("nodes")
    assert "fan noise" in nodes.stdout


@pytest.mark.parametrize(("job_id", "exit_code"), [(GOOD, 0), (FAILED, 1), (STOPPED, 1)])
def test_attach_reports_a_job_that_has_ended(site: Site, job_id: str, exit_code: int) -> None:
    report = site.document("attach", job_id)
    assert report["exit_code"] == exit_code
    if job_id == FAILED:
        then = site.shown("finetune-failed")
        del then["seconds"]
        for node in (*then["nodes"], *report["nodes"]):
            # Of the workers' logs only two are kept here.
            del node["last_lines"]
        assert_holds(report, then)


def test_logs_jobs_and_stop_read_the_old_folders(site: Site) -> None:
    logs = site.run("logs", FAILED)
    assert logs.returncode == 0, logs.stderr
    assert "[node0 rank0] " in logs.stdout
    assert site.document("jobs")[0]["job_id"] == RUNNING
    swept = site.run("stop", RUNNING)
    assert swept.returncode == 0, swept.stderr


def test_replay_makes_the_plan_again(site: Site) -> None:
    assert site.run("uncordon", "node1").returncode == 0
    done = site.run("replay", GOOD, "--dry-run", "--json")
    assert done.returncode == 0, done.stderr
    plan = json.loads(done.stdout)
    assert plan["job_id"].startswith("good-")
    old = [json.loads((site.folder / f"root{node}/jobs/{GOOD}/plan.json").read_text()) for node in (0, 1)]
    for node, then in zip(plan["nodes"], old):
        moved = [word.replace(GOOD, plan["job_id"]) for word in then["argv"]]
        assert _without_port(node["argv"]) == _without_port(moved)
        assert node["env"] == {**then["env"], "OBS_TOKEN": "********"}


def _without_port(argv: List[str]) -> List[str]:
    return [word for word in argv if not word.startswith("--master_port=")]


def test_a_failed_training_is_resumed(site: Site) -> None:
    assert site.run("uncordon", "node1").returncode == 0
    site.save_checkpoints(6)
    done = site.run("finetune", "--resume", FAILED, "--dry-run", "--json")
    assert done.returncode == 0, done.stderr
    plan = json.loads(done.stdout)
    saved = plan["nodes"][1]["links"]["resume/rank_3/checkpoint_rank_3-1_6.ckpt"]
    assert saved.endswith(f"root1/jobs/{FAILED}/work/output/checkpoint/rank_3/tiny_rank_3-1_6.ckpt")


@pytest.fixture
def upgrades(tmp_path: Path) -> Path:
    shutil.copytree(FILES / "upgrades", tmp_path / "upgrades")
    return tmp_path / "upgrades"


@pytest.mark.parametrize("campaign", [ENDED, KILLED])
def test_the_report_of_an_upgrade_is_made_again(upgrades: Path, campaign: str) -> None:
    then = json.loads((upgrades / campaign / "report.json").read_text())
    page = Record(upgrades / campaign).write_report()
    assert_holds(json.loads((upgrades / campaign / "report.json").read_text()), then)
    assert campaign in page.read_text()


def test_an_upgrade_that_was_killed_goes_on_and_one_that_has_ended_does_not(upgrades: Path) -> None:
    found = unfinished(upgrades, "24.1.rc3")
    assert found is not None
    assert found.campaign == KILLED
    history = found.history()
    assert (history.release, history.in_progress) == ("24.1.rc3", ["n1"])
    assert history.hosts["n0"].outcome == "done"
    shutil.rmtree(upgrades / KILLED)
    assert unfinished(upgrades, "24.1.rc3") is None
