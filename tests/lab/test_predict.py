# SPDX-License-Identifier: Apache-2.0
"""`telechat-run predict` for real on this machine: MindFormers' own generation, and the answers fetched."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from telechat_runtime.config import overlay
from telechat_runtime.spec import parse_override

pytestmark = pytest.mark.cpu

ROOT = Path(__file__).resolve().parents[2]
CONFIG = ROOT / "lab" / "workload" / "predict_tiny.yaml"
SHIM = ROOT / "lab" / "workload" / "cpu_shim"
QUESTIONS = ["What is the driver for?", "驱动有什么用", "hello"]

# Weights as a training would save them: random ones, which answer as surely as any.
SAVE = """
import sys
from mindformers import build_context
from mindformers.core.parallel_config import build_parallel_config
from mindformers.models.build_model import build_network
from mindformers.tools.register import MindFormerConfig
from mindspore import save_checkpoint, set_seed
set_seed(1)
config = MindFormerConfig(sys.argv[1])
build_context(config)
build_parallel_config(config)
save_checkpoint(build_network(config.model), sys.argv[2])
"""
# The same of the TeleChat2 tree's own model.
SAVE_TREE = """
import sys
from mindformers import build_context
from mindformers.core.parallel_config import build_parallel_config
from mindformers.tools.register import MindFormerConfig
from mindspore import save_checkpoint, set_seed
from telechat_runtime.node.predict.model import model_classes
set_seed(1)
config = MindFormerConfig(sys.argv[1])
build_context(config)
build_parallel_config(config)
settings = config.model.model_config
settings.parallel_config, settings.moe_config = config.parallel_config, config.moe_config
configuration, model = model_classes(sys.argv[3])
save_checkpoint(model(configuration(**settings)), sys.argv[2])
"""
# What makes the 7B yaml one that CPU computes in seconds.
TINY_TREE = (
    *(
        f"model.model_config.{name}=float32"
        for name in ("compute_dtype", "res_dtype", "rotary_dtype", "param_init_type")
    ),
    *(f"model.model_config.{name}=False" for name in ("use_flash_attention", "use_past", "is_dynamic")),
    *("model.model_config.seq_length=128", "model.model_config.hidden_size=64", "model.model_config.num_layers=2"),
    *(
        "model.model_config.num_heads=4",
        "model.model_config.vocab_size=2048",
        "model.model_config.intermediate_size=128",
    ),
    *("+model.model_config.router_dense_type=float32", "parallel.parallel_mode=0", "context.max_device_memory=4GB"),
    "context.device_target=CPU",
)
READ_ARRAYS = """
import json, sys
import numpy
with numpy.load(sys.argv[1]) as arrays:
    print(json.dumps({name: [array.shape, array.argmax(axis=1).tolist()] for name, array in arrays.items()}))
"""


@dataclass(frozen=True)
class Machine:
    """This machine as an inventory of one node, with weights and vocabulary."""

    folder: Path
    python: Path
    tokenizer: Path
    weights: Path

    def predict(self, *words: str) -> subprocess.CompletedProcess[str]:
        argv = [sys.executable, "-m", "telechat_runtime", "predict", "-i", str(self.folder / "hosts.yml")]
        argv += ["--config", str(CONFIG), "--tokenizer", str(self.tokenizer), "--env", f"PYTHONPATH={SHIM}"]
        argv += ["--checkpoint", str(self.weights), *words]
        env = {**os.environ, "PYTHONPATH": str(ROOT)}
        return subprocess.run(argv, cwd=self.folder, env=env, text=True, capture_output=True, check=False, timeout=300)

    def answers(self, *words: str) -> list[dict[str, Any]]:
        done = self.predict("--output", "out.jsonl", *words)
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr
        return [json.loads(line) for line in (self.folder / "out.jsonl").read_text(encoding="utf-8").splitlines()]

    def run(self, code: str, *words: str, path: str = str(SHIM)) -> str:
        env = {**os.environ, "PYTHONPATH": path}
        return subprocess.run(
            [self.python, "-c", code, *words], cwd=self.folder, env=env, text=True, capture_output=True, check=True
        ).stdout


@pytest.fixture(scope="module")
def machine(mindspore_python: Path, dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Machine:
    folder = tmp_path_factory.mktemp("predict")
    variables = {
        "telechat_container_name": "",
        "telechat_runtime_path": "",
        "telechat_python": str(mindspore_python),
        "telechat_job_root": str(folder / "root"),
        "telechat_device_target": "CPU",
    }
    host = {"ansible_connection": "local", "ascend_node_addr": "127.0.0.1", "ascend_npu_count": 2}
    inventory = {"ascend": {"hosts": {"this-machine": host}, "vars": variables}}
    (folder / "hosts.yml").write_text(json.dumps(inventory))
    machine = Machine(folder, mindspore_python, dataset / "tokenizer.model", folder / "weights.ckpt")
    machine.run(SAVE, str(CONFIG), str(machine.weights))
    return machine


def test_answers_in_the_questions_order_with_counts_and_arrays(machine: Machine) -> None:
    lines = "".join(json.dumps({"input": question}) + "\n" for question in QUESTIONS[1:])
    (machine.folder / "questions.jsonl").write_text(lines)
    words = ["--input", QUESTIONS[0], "--input-file", "questions.jsonl", "--max-new-tokens", "5"]
    answers = machine.answers(*words, "--return-logits", "--return-scores")
    assert [answer["question"] for answer in answers] == QUESTIONS
    assert [answer["index"] for answer in answers] == [0, 1, 2]
    for answer in answers:
        assert answer["prompt_tokens"] >= 3
        assert answer["new_tokens"] == 5 or answer["finish"] == "end"
    arrays = json.loads(machine.run(READ_ARRAYS, answers[1]["arrays"]))
    new = answers[1]["new_tokens"]
    assert [shape for shape, _ in arrays.values()] == [[new, 2048]] * 2
    # Greedy: the likeliest token of each step is the one that was taken.
    assert arrays["logits"][1] == arrays["scores"][1]
    decode = "import sys, sentencepiece as s; print(s.SentencePieceProcessor(model_file=sys.argv[1]).decode("
    taken = [token for token in arrays["logits"][1] if token != 2]
    assert machine.run(f"{decode}{taken}))", str(machine.tokenizer)).strip() == answers[1]["answer"].strip()


def test_drawing_follows_the_seed_whatever_the_number_of_workers(machine: Machine) -> None:
    questions = ["--input", "hello", "--input", "hello"]
    words = [*questions, "--do-sample", "--top-k", "50", "--max-length", "16", "--seed", "7"]
    first = machine.answers(*words)
    assert all(answer["prompt_tokens"] + answer["new_tokens"] <= 16 for answer in first)
    assert first[0]["answer"] != first[1]["answer"]  # each question draws its own numbers
    assert machine.answers(*words, "--npus-per-node", "2") == first


def test_a_question_too_long_costs_no_model(machine: Machine) -> None:
    done = machine.predict("--input", "hello", "--input", "driver " * 300)
    assert done.returncode == 1
    assert "question 2 has " in done.stdout
    assert "prompt and answer may have 96 together" in done.stdout
    assert "Traceback" not in done.stdout


def test_weights_of_another_model_are_refused(machine: Machine) -> None:
    done = machine.predict("--input", "hello", "--set", "model.model_config.num_layers=3")
    assert done.returncode == 1
    assert "weights of the model, model.layers.2." in done.stdout


def test_the_telechat2_tree_answers(machine: Machine, tmp_path: Path) -> None:
    """Needs a checkout of the tree (TELECHAT_TREE), and what its operators lack on CPU (TELECHAT_TREE_CPU_SHIM)."""
    tree, shim = os.environ.get("TELECHAT_TREE"), os.environ.get("TELECHAT_TREE_CPU_SHIM")
    if not tree or not shim:
        pytest.skip("TELECHAT_TREE and TELECHAT_TREE_CPU_SHIM name no checkout of the tree and no CPU shim for it")
    shipped = Path(tree) / "research/telechat2/predict_telechat_7b.yaml"
    tiny = overlay(shipped.read_text(), [], [parse_override(text) for text in TINY_TREE], source="7b").text
    (tmp_path / "tiny.yaml").write_text(tiny)
    weights = tmp_path / "tree.ckpt"
    machine.run(SAVE_TREE, str(tmp_path / "tiny.yaml"), str(weights), tree, path=f"{tree}:{shim}:{ROOT}")
    hosts = json.loads((machine.folder / "hosts.yml").read_text())
    hosts["ascend"]["vars"]["telechat_tree"] = tree
    (tmp_path / "hosts.yml").write_text(json.dumps(hosts))
    words = ["-i", "hosts.yml", "--model", "7b", "--checkpoint", str(weights), "--tokenizer", str(machine.tokenizer)]
    words += ["--env", f"PYTHONPATH={shim}", "--system", "hi", "--input", "hello", "--max-new-tokens", "4", "--json"]
    sets = [word for text in TINY_TREE if not text.startswith("+") for word in ("--set", text)]
    argv = [sys.executable, "-m", "telechat_runtime", "predict", *words, *sets]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(argv, cwd=tmp_path, env=env, text=True, capture_output=True, check=False, timeout=300)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    (answer,) = json.loads(done.stdout)["answers"]
    assert (answer["question"], answer["new_tokens"]) == ("hello", 4)
