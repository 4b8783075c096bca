# SPDX-License-Identifier: Apache-2.0
"""The guide's jobs on a checkout of the TeleChat2 tree: its own model, scripts and yaml; only the sizes are tiny.

Needs a checkout (TELECHAT_TREE, its folder mindformers-telechat) and what its operators lack on CPU
(TELECHAT_TREE_CPU_SHIM, put on PYTHONPATH); without them all of it is skipped.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.cpu

ROOT = Path(__file__).resolve().parents[2]
SEQ_LENGTH = 128
# What makes the 7B model one that CPU computes in seconds.
TINY_MODEL = {
    **dict.fromkeys(("compute_dtype", "res_dtype", "rotary_dtype", "param_init_type"), "float32"),
    "use_flash_attention": "False",
    "hidden_size": "64",
    "num_layers": "2",
    "num_heads": "4",
    "vocab_size": "2048",
    "intermediate_size": "128",
}
# CPU has no semi-auto parallel mode and no data queue; its data workers are as many as its cores.
ON_CPU = {
    "context.device_target": "CPU",
    "context.max_device_memory": "4GB",
    "parallel.parallel_mode": "0",
    "parallel.full_batch": "False",
    "parallel.gradients_mean": "True",
}
TRAINING = {
    "parallel.enable_parallel_optimizer": "False",
    "parallel_config.use_seq_parallel": "False",
    "model.model_config.parallel_optimizer": "False",
    "context.jit_config.jit_level": "O0",
    "recompute_config.recompute": "False",
    "runner_config.sink_mode": "False",
    "train_dataset.num_parallel_workers": "1",
    "eval_dataset.num_parallel_workers": "1",
    "callbacks": json.dumps([{"type": "MFLossMonitor"}, {"type": "CheckpointMonitor", "prefix": "tiny"}]),
}


@dataclass(frozen=True)
class TreeMachine:
    """This machine as an inventory of one node with the tree."""

    folder: Path
    shim: str

    def run(self, command: str, *words: str, sets: dict[str, str] | None = None, env: bool = True) -> dict[str, Any]:
        argv = [sys.executable, "-m", "telechat_runtime", command, "-i", "hosts.yml", "--json", *words]
        argv += ["--env", f"PYTHONPATH={self.shim}"] if env else []
        for name, value in (sets or {}).items():
            argv += ["--set", f"{name}={value}"]
        done = subprocess.run(
            argv,
            cwd=self.folder,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            text=True,
            capture_output=True,
            check=False,
            timeout=300,
        )
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        report: dict[str, Any] = json.loads(done.stdout)
        return report

    def finetune(self, *words: str, **sets: str) -> tuple[dict[str, Any], Path]:
        """Train one epoch on one card; return the report and the last weights."""
        model = {f"model.model_config.{name}": value for name, value in TINY_MODEL.items()}
        options = ["--model", "7b", "--dataset", str(self.folder / "rows"), "--seq-length", str(SEQ_LENGTH)]
        options += ["--epochs", "1", "--batch-size", "2", "--npus-per-node", "1", *words]
        report = self.run("finetune", *options, sets={**model, **ON_CPU, **TRAINING, **sets})
        job = self.folder / "root" / "jobs" / report["job_id"]
        saved = (job / "work" / "output" / "checkpoint_network" / "rank_0").glob("*.ckpt")
        return report, max(saved, key=lambda path: path.stat().st_mtime_ns)


@pytest.fixture(scope="module")
def machine(mindspore_python: Path, dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> TreeMachine:
    tree, shim = os.environ.get("TELECHAT_TREE"), os.environ.get("TELECHAT_TREE_CPU_SHIM")
    if not tree or not shim:
        pytest.skip("TELECHAT_TREE and TELECHAT_TREE_CPU_SHIM name no checkout of the tree and no CPU shim for it")
    folder = tmp_path_factory.mktemp("tree")
    variables = {
        "telechat_container_name": "",
        "telechat_runtime_path": "",
        "telechat_python": str(mindspore_python),
        "telechat_job_root": str(folder / "root"),
        "telechat_device_target": "CPU",
        "telechat_tree": tree,
    }
    host = {"ansible_connection": "local", "ansible_host": "127.0.0.1", "ascend_npu_count": 1}
    (folder / "hosts.yml").write_text(json.dumps({"ascend": {"hosts": {"this-machine": host}, "vars": variables}}))
    argv = [mindspore_python, "-m", "telechat_runtime", "preprocess", "--input", dataset / "dialogues.jsonl"]
    argv += ["--tokenizer", dataset / "tokenizer.model", "--max-length", str(SEQ_LENGTH), "--output", folder / "rows"]
    subprocess.run(argv, cwd=ROOT, check=True, capture_output=True, timeout=300)
    return TreeMachine(folder, shim)


def test_preprocess_finetune_lora_merge_and_predict(machine: TreeMachine, dataset: Path) -> None:
    report, weights = machine.finetune()
    assert report["state"] == "SUCCEEDED"
    lora, _ = machine.finetune(
        *("--method", "lora", "--checkpoint", str(weights)),
        **{"model.model_config.pet_config.compute_dtype": "float32"},
    )
    merged = machine.run("merge-lora", lora["job_id"], env=False)["result"]
    model = {f"model.model_config.{name}": value for name, value in TINY_MODEL.items()}
    model |= {f"model.model_config.{name}": "False" for name in ("use_past", "is_dynamic")}
    words = ["--model", "7b", "--checkpoint", merged, "--tokenizer", str(dataset / "tokenizer.model"), "--raw"]
    answered = machine.run(
        *("predict", *words, "--input", "hello", "--max-new-tokens", "4"),
        sets={**model, **ON_CPU, "model.model_config.seq_length": str(SEQ_LENGTH)},
    )
    (answer,) = answered["answers"]
    assert answer["question"] == "hello"
    assert 0 < answer["new_tokens"] <= 4
