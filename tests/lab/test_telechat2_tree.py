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

from telechat_runtime.job.options import parse_override
from telechat_runtime.training.document import Document
from tests.support.this_machine import write_inventory

pytestmark = pytest.mark.cpu

ROOT = Path(__file__).resolve().parents[2]
SEQ_LENGTH = 128
# What makes the 7B model one that CPU computes in seconds.
_TINY = {
    **dict.fromkeys(("compute_dtype", "res_dtype", "rotary_dtype", "param_init_type"), "float32"),
    "use_flash_attention": "False",
    "hidden_size": "64",
    "num_layers": "2",
    "num_heads": "4",
    "vocab_size": "2048",
    "intermediate_size": "128",
}
TINY_MODEL = {f"model.model_config.{name}": value for name, value in _TINY.items()}
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
ANSWERING = {
    "model.model_config.use_past": "False",
    "model.model_config.is_dynamic": "False",
    "model.model_config.seq_length": str(SEQ_LENGTH),
}
# Random weights of the tree's own model, as a training would save them.
SAVE_TREE = """
import sys
from mindformers import build_context
from mindformers.core.parallel_config import build_parallel_config
from mindformers.tools.register import MindFormerConfig
from mindspore import save_checkpoint, set_seed
from telechat_runtime.node.programs.predict.model import model_classes
set_seed(1)
config = MindFormerConfig(sys.argv[1])
build_context(config)
build_parallel_config(config)
settings = config.model.model_config
settings.parallel_config, settings.moe_config = config.parallel_config, config.moe_config
configuration, model = model_classes(sys.argv[3])
save_checkpoint(model(configuration(**settings)), sys.argv[2])
"""


@dataclass(frozen=True)
class TreeMachine:
    """This machine as an inventory of one node with the tree."""

    folder: Path
    python: Path
    tree: Path
    shim: str
    tokenizer: Path

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
        options = ["--model", "7b", "--dataset", str(self.folder / "rows"), "--seq-length", str(SEQ_LENGTH)]
        options += ["--epochs", "1", "--batch-size", "2", "--npus-per-node", "1", *words]
        report = self.run("finetune", *options, sets={**TINY_MODEL, **ON_CPU, **TRAINING, **sets})
        job = self.folder / "root" / "jobs" / report["job_id"]
        saved = (job / "work" / "output" / "checkpoint_network" / "rank_0").glob("*.ckpt")
        return report, max(saved, key=lambda path: path.stat().st_mtime_ns)

    def answer(self, *words: str) -> dict[str, Any]:
        """Ask one question, to be answered in four tokens."""
        options = ["--model", "7b", "--tokenizer", str(self.tokenizer), "--input", "hello", "--max-new-tokens", "4"]
        (answer,) = self.run("predict", *options, *words, sets={**TINY_MODEL, **ON_CPU, **ANSWERING})["answers"]
        found: dict[str, Any] = answer
        return found


@pytest.fixture(scope="module")
def machine(mindspore_python: Path, dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> TreeMachine:
    tree, shim = os.environ.get("TELECHAT_TREE"), os.environ.get("TELECHAT_TREE_CPU_SHIM")
    if not tree or not shim:
        pytest.skip("TELECHAT_TREE and TELECHAT_TREE_CPU_SHIM name no checkout of the tree and no CPU shim for it")
    folder = tmp_path_factory.mktemp("tree")
    write_inventory(folder, telechat_python=str(mindspore_python), telechat_tree=tree)
    argv = [mindspore_python, "-m", "telechat_runtime", "preprocess", "--input", dataset / "dialogues.jsonl"]
    argv += ["--tokenizer", dataset / "tokenizer.model", "--max-length", str(SEQ_LENGTH), "--output", folder / "rows"]
    subprocess.run(argv, cwd=ROOT, check=True, capture_output=True, timeout=300)
    return TreeMachine(folder, mindspore_python, Path(tree), shim, dataset / "tokenizer.model")


def test_preprocess_finetune_lora_merge_and_predict(machine: TreeMachine) -> None:
    report, weights = machine.finetune()
    assert report["state"] == "SUCCEEDED"
    lora, _ = machine.finetune(
        *("--method", "lora", "--checkpoint", str(weights)),
        **{"model.model_config.pet_config.compute_dtype": "float32"},
    )
    merged = machine.run("merge-lora", lora["job_id"], env=False)["result"]
    answer = machine.answer("--checkpoint", merged, "--raw")
    assert answer["question"] == "hello"
    assert 0 < answer["new_tokens"] <= 4


def test_the_trees_own_model_answers(machine: TreeMachine) -> None:
    shipped = machine.tree / "research/telechat2/predict_telechat_7b.yaml"
    sets = {**TINY_MODEL, **ON_CPU, **ANSWERING, "+model.model_config.router_dense_type": "float32"}
    overrides = [parse_override(f"{name}={value}") for name, value in sets.items()]
    tiny, weights = machine.folder / "tiny.yaml", machine.folder / "tree.ckpt"
    tiny.write_text(Document.load(shipped.read_text(), "7b").laid([], overrides).text)
    subprocess.run(
        [machine.python, "-c", SAVE_TREE, tiny, weights, machine.tree],
        cwd=machine.folder,
        env={**os.environ, "PYTHONPATH": f"{machine.tree}:{machine.shim}:{ROOT}"},
        capture_output=True,
        check=True,
        timeout=300,
    )
    answer = machine.answer("--checkpoint", str(weights), "--system", "hi")
    assert (answer["question"], answer["new_tokens"]) == ("hello", 4)
