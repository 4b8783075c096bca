# SPDX-License-Identifier: Apache-2.0
"""Jobs that end badly on this machine are judged the same, whatever sentences their node makes of it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, Dict, List, Tuple

import pytest

from tests.support.control_side import telechat_run
from tests.support.local_node import wait_until
from tests.support.this_machine import write_inventory

ROOT = Path(__file__).parents[2]
# What ends otherwise by the sentence alone: errors that are known, other ranks, signals and kinds of failure.
MISLEADING = "rank 7 was killed by SIGTERM; the last error in its log: EI0002; No space left on device: /data"
# A node runtime; with a sentence, all that its node would say of an end is that one.
RUNTIME = """\
import sys
sys.path.insert(0, {root!r})
sentence = {sentence!r}
if sentence:
    from telechat_runtime.node.supervision import guard, state, stop_request, supervisor

    for name in ("of_worker", "of_scheduler", "of_job"):
        build = getattr(supervisor, name)
        setattr(supervisor, name, lambda *words, build=build: build(*words)._replace(reason=sentence))
    texts = (stop_request, "told", lambda paths: sentence), (guard, "REASON", sentence), (state, "_LOST", sentence)
    for module, name, text in texts:
        assert hasattr(module, name), name
        setattr(module, name, text)
from telechat_runtime.__main__ import main
main()
"""
TREE = """\
import os, signal, sys, time
for step in (1, 2, 3, 4):
    print(f"{{ Epoch:[  1/  1], step:[{step:>5}/    9], "
          f"loss:[{9 - step}.5/7.6], per_step_time: 91ms, lr: 0.001", flush=True)
if os.environ["END"] == "killed":
    os.kill(os.getpid(), signal.SIGKILL)
if os.environ["END"] == "error":
    sys.exit("RuntimeError: chip on fire")
time.sleep(60)
"""


class Machine:
    """A node of this machine whose sentences are its own, or all of them `sentence`."""

    def __init__(self, folder: Path, sentence: str) -> None:
        self.folder = folder
        for name in ("tree", "data"):
            (folder / name).mkdir(parents=True)
        (folder / "tree" / "run_mindformer.py").write_text(TREE)
        (folder / "config.yaml").write_text("train_dataset: {data_loader: {dataset_dir: ''}}\n")
        (folder / "runtime.py").write_text(RUNTIME.format(root=str(ROOT), sentence=sentence))

    def start(self, name: str, *words: str) -> subprocess.Popen[str]:
        command = [*telechat_run(), name, "-i", str(self.folder / "hosts.yml"), *words]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)

    def finetune(self, end: str) -> subprocess.Popen[str]:
        write_inventory(
            self.folder,
            telechat_tree=str(self.folder / "tree"),
            telechat_env={"END": end},
            telechat_runtime_path=str(self.folder / "runtime.py"),
            telechat_python=sys.executable,
        )
        files = ("--config", str(self.folder / "config.yaml"), "--dataset", str(self.folder / "data"))
        return self.start("finetune", *files, "--json", "--max-restarts", "1", "--restart-pause", "0")

    def jobs(self) -> List[Path]:
        return sorted((self.folder / "root" / "jobs").iterdir())


def decided(machine: Machine, exit_code: int, text: str) -> Tuple[Dict[str, Any], List[str]]:
    """Return all that was decided of a job, and the sentences of its nodes."""
    document = json.loads(text)
    (node,) = document["nodes"]
    records = [json.loads((job / "state.json").read_text()) for job in machine.jobs()]
    fixed = ("state", "exit_code", "interrupted", "steps", "first_failure", "known_error")
    values = {
        **{name: document[name] for name in fixed},
        "node": {name: node[name] for name in ("state", "exit_code", "failed_rank", "failure", "left")},
        "command": exit_code,
        "restarts": len(document["attempts"]),
        "recorded": [(each["state"], each["exit_code"], each["failed_rank"], each["failure"]) for each in records],
    }
    return values, [node["reason"], *(each["reason"] for each in records)]


def ended(machine: Machine, end: str) -> Tuple[Dict[str, Any], List[str]]:
    process = machine.finetune(end)
    if end == "stopped":
        logs = (machine.folder / "root").glob
        (log,) = wait_until(
            lambda: [log for log in logs("jobs/*/logs/worker_0.log") if "step:[    4/" in log.read_text()]
        )
        stop = machine.start("stop", log.parents[1].name)
        assert "here: STOPPED" in stop.communicate(timeout=60)[0]
    text, _ = process.communicate(timeout=120)
    return decided(machine, process.returncode, text)


@pytest.mark.parametrize(
    ("end", "kind", "restarts"),
    [
        ("killed", "worker_signal", 1),
        ("error", "worker_exit", 0),
        ("stopped", "stopped_by_user", 0),
    ],
)
def test_other_sentences_change_no_failure_no_restart_and_no_exit_code(
    end: str, kind: str, restarts: int, tmp_path: Path
) -> None:
    values, sentences = ended(Machine(tmp_path / "own", ""), end)
    others, changed = ended(Machine(tmp_path / "other", MISLEADING), end)
    assert others == values
    assert set(changed) == {MISLEADING}
    assert MISLEADING not in sentences
    assert (values["node"]["failure"]["kind"], values["restarts"], values["command"]) == (kind, restarts, 1)
