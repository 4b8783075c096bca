# SPDX-License-Identifier: Apache-2.0
"""`telechat-run finetune --method lora` on this machine: MindFormers trains the matrices beside frozen weights."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.support.this_machine import write_inventory

pytestmark = pytest.mark.cpu

ROOT = Path(__file__).resolve().parents[2]
SHIM = ROOT / "lab" / "workload" / "cpu_shim"


@pytest.fixture
def words(mindspore_python: Path, dataset: Path, tmp_path: Path) -> list[str]:
    """Return a finetune on this machine alone, as JSON."""
    inventory = write_inventory(tmp_path, telechat_python=str(mindspore_python))
    options = ["-i", str(inventory), "--config", str(ROOT / "lab" / "workload" / "finetune_tiny.yaml")]
    options += ["--dataset", str(dataset), "--method", "lora", "--env", f"PYTHONPATH={SHIM}", "--json"]
    return [sys.executable, "-m", "telechat_runtime", "finetune", *options]


def run(words: list[str], *more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*words, *more], capture_output=True, text=True, timeout=300, check=False, cwd=ROOT)


def test_lora_trains_and_saves_all_that_merging_needs(words: list[str], tmp_path: Path) -> None:
    done = run(words, "--epochs", "1", "--set", "model.model_config.pet_config.compute_dtype=float32")
    assert done.returncode == 0, done.stderr
    (work,) = (tmp_path / "root" / "jobs").glob("*/work")
    config = yaml.safe_load((work / "config.yaml").read_text())
    assert config["parallel"]["strategy_ckpt_config"]["only_trainable_params"] is False
    (weights,) = (work / "output" / "checkpoint").glob("rank_0/*.ckpt")
    names = weights.read_bytes()
    assert b"attention.wq.mindpet_delta_lora_a" in names
    assert b"attention.wo.mindpet_delta_lora_b" in names
    assert b"attention.wq.weight" in names


def test_rows_of_another_length_are_refused_before_anything_runs(words: list[str], tmp_path: Path) -> None:
    done = run(words, "--seq-length", "64")
    assert done.returncode == 5
    assert "the dataset has rows of 129 ids; seq_length 64 needs 65" in done.stderr
    assert not (tmp_path / "root" / "jobs").exists()
