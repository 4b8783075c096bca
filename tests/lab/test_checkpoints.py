# SPDX-License-Identifier: Apache-2.0
"""Checkpoints converted and merged for real, by MindSpore on this machine's CPU, through `telechat-run` itself."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.support.checkpoint_files import (
    Cut,
    Tensor,
    bfloats,
    floats,
    read_checkpoint,
    write_checkpoint,
    write_strategies,
)
from tests.support.this_machine import write_inventory

pytestmark = pytest.mark.cpu

ROOT = Path(__file__).resolve().parents[2]
TIMEOUT = 300
MODEL = {
    "model.tok_embeddings.embedding_weight": bfloats((16, 8)),
    "model.layers.0.attention.wo.weight": bfloats((8, 8), 3),
    "model.layers.0.ffn_norm.weight": floats((8,), 5),
    "model.layers.1.attention.wo.weight": floats((8, 8), 7),
    "lm_head.weight": bfloats((16, 8), 9),
}
FIRST = [name for name in MODEL if "tok_" in name or ".0." in name]
SECOND = [name for name in MODEL if name not in FIRST]
MERGED = [f"model.layers.{layer}.attention.wo.weight" for layer in (0, 1)]
A, B = "mindpet_delta_lora_a", "mindpet_delta_lora_b"
LORA = {
    weight.replace("weight", name): tensor
    for weight in MERGED
    for name, tensor in ((A, floats((2, 8), 1)), (B, floats((8, 2), 2)))
}


def cuts(dp: int, mp: int, names: list[str]) -> dict[str, Cut]:
    """Return layouts as TeleChat2 cuts: embeddings by rows, output projections by columns, LoRA's A as its weight."""

    def axis(name: str) -> tuple[int, ...]:
        if name.endswith("norm.weight"):
            return (-1,)
        if name.endswith(B):
            return (-1, -1)
        return (-1, 0) if ".wo." in name else (0, -1)

    return {name: Cut((dp, mp), axis(name)) for name in names}


def optimizer_parallel(cuts: dict[str, Cut]) -> dict[str, Cut]:
    """Return the layouts with the embeddings cut once more, over the data parallel ranks, as the optimizer does."""
    cut = {"optimizer_step": 2, "optimizer_size": 2}
    return {name: replace(layout, **cut) if layout.tensor_map == (0, -1) else layout for name, layout in cuts.items()}


class Machine:
    """This machine as the one node of an inventory, and telechat-run on it."""

    def __init__(self, folder: Path, python: Path) -> None:
        self.folder = folder
        self.jobs = folder / "jobs"
        self._inventory = write_inventory(folder, telechat_python=str(python), telechat_job_root=str(self.jobs))

    def run(self, *words: str | Path) -> subprocess.CompletedProcess[str]:
        argv = [sys.executable, "-m", "telechat_runtime", *map(str, words), "-i", str(self._inventory), "--json"]
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        return subprocess.run(
            argv,
            cwd=ROOT,
            env={**os.environ, "PATH": path},
            text=True,
            capture_output=True,
            timeout=TIMEOUT,
            check=False,
        )

    def report(self, *words: str | Path) -> dict[str, Any]:
        done = self.run(*words)
        assert done.returncode == 0, done.stderr
        return dict(json.loads(done.stdout))


@pytest.fixture
def machine(tmp_path: Path, mindspore_python: Path) -> Machine:
    return Machine(tmp_path, mindspore_python)


def test_whole_to_slices_to_another_layout_to_whole_bit_for_bit(machine: Machine) -> None:
    """Data, model and optimizer parallel, pipeline stages; float32 and bfloat16; a run that was cut short goes on."""
    names = list(MODEL)
    whole = write_checkpoint(machine.folder / "telechat.ckpt", MODEL)
    mp = write_strategies(machine.folder / "mp", [cuts(2, 2, names)])
    pp = write_strategies(machine.folder / "pp", [cuts(1, 2, FIRST), cuts(1, 2, SECOND)])
    zero = write_strategies(machine.folder / "zero-strategy", [optimizer_parallel(cuts(2, 2, names))])
    out = machine.folder / "out"

    report = machine.report("convert", "--checkpoint", whole, "--to-strategy", mp, "--output", out)
    assert (report["state"], report["result"], report["ranks"]) == ("SUCCEEDED", str(out / "telechat"), 4)
    files = [out / f"telechat/rank_{rank}/checkpoint_{rank}.ckpt" for rank in range(4)]
    assert files[0].samefile(files[2])
    right = read_checkpoint(files[1])
    embedding = MODEL["model.tok_embeddings.embedding_weight"].content
    assert right["model.tok_embeddings.embedding_weight"] == Tensor(
        "BFloat16", (8, 8), embedding[len(embedding) // 2 :]
    )
    assert right["model.layers.0.attention.wo.weight"].shape == (8, 4)

    files[1].unlink()
    files[3].unlink()
    kept = files[0].stat().st_mtime_ns
    again = machine.run("convert", "--checkpoint", whole, "--to-strategy", mp, "--output", out)
    assert "different files: 2, to make: 1" in again.stderr
    assert files[0].stat().st_mtime_ns == kept
    assert read_checkpoint(files[3]) == right

    layout = ["--from-strategy", mp, "--to-strategy", zero, "--output", machine.folder / "zero"]
    sharded = machine.report("convert", "--checkpoint", out / "telechat", *layout)["result"]
    assert read_checkpoint(Path(sharded, "rank_3/checkpoint_3.ckpt"))["lm_head.weight"].shape == (4, 8)
    layout = ["--from-strategy", zero, "--to-strategy", pp, "--output", machine.folder / "staged"]
    staged = machine.report("convert", "--checkpoint", sharded, *layout)["result"]
    assert set(read_checkpoint(Path(staged, "rank_3/checkpoint_3.ckpt"))) == set(SECOND)
    joined = machine.report(
        "convert", "--checkpoint", staged, "--from-strategy", pp, "--output", machine.folder / "joined"
    )["result"]
    assert read_checkpoint(Path(joined, "rank_0/checkpoint_0.ckpt")) == MODEL


def test_lora_slices_are_merged_as_their_sum_says(machine: Machine) -> None:
    parameters = {**MODEL, **LORA}
    whole = write_checkpoint(machine.folder / "lora.ckpt", parameters)
    strategy = write_strategies(machine.folder / "strategy", [cuts(1, 2, list(parameters))])
    sliced = machine.report(
        "convert", "--checkpoint", whole, "--to-strategy", strategy, "--output", machine.folder / "s"
    )
    before = sorted(path.name for path in strategy.iterdir())
    report = machine.report(
        "merge-lora",
        *("--checkpoint", sliced["result"], "--strategy", strategy),
        *("--lora-scaling", "0.5", "--output", machine.folder / "merged"),
    )
    merged = read_checkpoint(Path(report["result"]))
    assert list(merged) == list(MODEL)
    for name, tensor in MODEL.items():
        assert merged[name] == (with_lora(name, 0.5) if name in MERGED else tensor), name
    assert sorted(path.name for path in strategy.iterdir()) == before
    assert [path.name for path in (machine.folder / "merged").iterdir()] == ["merged_lora.ckpt"]

    refused = machine.run(
        "merge-lora", "--checkpoint", whole, "--lora-scaling", "2", "--output", machine.folder / "merged"
    )
    assert refused.returncode == 5
    assert "exists: give another --output" in refused.stderr


def test_a_lora_finetune_is_merged_by_its_job_id(machine: Machine, dataset: Path) -> None:
    """MindFormers trains, saves and names the matrices; scaling and files are those of the job."""
    trained = machine.report(
        *("finetune", "--config", ROOT / "lab/workload/finetune_tiny.yaml", "--dataset", dataset),
        *("--method", "lora", "--epochs", "1", "--env", f"PYTHONPATH={ROOT / 'lab/workload/cpu_shim'}"),
        *("--set", "+model.model_config.pet_config.compute_dtype=float32"),
        *("--set", "+model.model_config.pet_config.target_modules=.*wq|.*wk|.*wv|.*wo"),
    )
    report = machine.report("merge-lora", trained["job_id"])
    output = Path(trained["folder"]) / "work/output"
    assert report["result"] == str(output / "merge_ckpt/merged_lora.ckpt")
    (saved,) = (output / "checkpoint/rank_0").glob("*.ckpt")
    before, merged = read_checkpoint(saved), read_checkpoint(Path(report["result"]))
    assert not [name for name in merged if "lora" in name or name.startswith("adam") or "." not in name]
    assert {name for name in before if name.startswith(("model.", "lm_head.")) and "lora" not in name} == set(merged)
    name = "model.layers.1.attention.wq.weight"
    pair = {letter: before[name.replace("weight", letter)] for letter in (A, B)}
    wanted = added(before[name], pair[A], pair[B], scaling=2)
    assert numbers(merged[name]) == pytest.approx(wanted, rel=1e-5, abs=1e-7)
    assert numbers(merged[name]) != pytest.approx(numbers(before[name]), rel=1e-5, abs=1e-7)


def numbers(tensor: Tensor) -> list[float]:
    """Return the numbers of a parameter; a bfloat16 is the upper half of a float32."""
    content = tensor.content
    if tensor.dtype == "BFloat16":
        content = b"".join(b"\0\0" + content[at : at + 2] for at in range(0, len(content), 2))
    return list(struct.unpack(f"<{len(content) // 4}f", content))


def added(weight: Tensor, a: Tensor, b: Tensor, *, scaling: float) -> list[float]:
    """Return weight + scaling * (B @ A), row by row."""
    columns, rank = weight.shape[1], a.shape[0]
    right, left = numbers(a), numbers(b)
    return [
        value + scaling * sum(left[at // columns * rank + k] * right[k * columns + at % columns] for k in range(rank))
        for at, value in enumerate(numbers(weight))
    ]


def with_lora(name: str, scaling: float) -> Tensor:
    """Return a weight of MODEL merged with LORA, whose sums no order rounds, rounded once to the weight's type."""
    weight = MODEL[name]
    sums = added(weight, *(LORA[name.replace("weight", letter)] for letter in (A, B)), scaling=scaling)
    if weight.dtype == "Float32":
        return Tensor("Float32", weight.shape, struct.pack(f"<{len(sums)}f", *sums))
    bits = struct.unpack(f"<{len(sums)}I", struct.pack(f"<{len(sums)}f", *sums))
    nearest = [(word + 0x7FFF + (word >> 16 & 1)) >> 16 for word in bits]  # a tie goes to the even one
    return Tensor("BFloat16", weight.shape, struct.pack(f"<{len(nearest)}H", *nearest))
