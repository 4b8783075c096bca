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

from tests.support.this_machine import write_inventory

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

    def run(self, code: str, *words: str) -> str:
        env = {**os.environ, "PYTHONPATH": str(SHIM)}
        return subprocess.run(
            [self.python, "-c", code, *words], cwd=self.folder, env=env, text=True, capture_output=True, check=True
        ).stdout


@pytest.fixture(scope="module")
def machine(mindspore_python: Path, dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Machine:
    folder = tmp_path_factory.mktemp("predict")
    write_inventory(folder, npus=2, telechat_python=str(mindspore_python))
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
