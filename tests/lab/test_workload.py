# SPDX-License-Identifier: Apache-2.0
"""The CPU workload for real: MindSpore builds the data, msrun trains on it with two workers."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from lab.workload.dialogues import dialogues
from lab.workload.packing import IGNORED, SPECIAL_TOKENS
from telechat_runtime.job.training_log import Step, parse_line
from tests.support.this_machine import free_port

pytestmark = pytest.mark.cpu

ROOT = Path(__file__).resolve().parents[2]
CONFIG = ROOT / "lab" / "workload" / "finetune_tiny.yaml"
SHIM = ROOT / "lab" / "workload" / "cpu_shim"
ENTRY = ROOT / "telechat_runtime" / "node" / "programs" / "run_mindformer.py"
ROW_LENGTH = 129
PAD = 3
TIMEOUT = 300

READ_BACK = """
import json, sys
import sentencepiece
from mindspore.mindrecord import FileReader
folder = sys.argv[1]
tokenizer = sentencepiece.SentencePieceProcessor(model_file=folder + "/tokenizer.model")
reader = FileReader(folder + "/dialogues.mindrecord")
rows = [{name: column.tolist() for name, column in row.items()} for row in reader.get_next()]
learned = [[label for label in row["labels"] if label >= 0] for row in rows]
print(json.dumps({
    "rows": rows,
    "learned": [tokenizer.decode(ids) for ids in learned],
    "special": [tokenizer.piece_to_id(token) for token in sys.argv[2:]],
    "size": tokenizer.vocab_size(),
    "newline": tokenizer.encode("\\n"),
}))
"""


@dataclass(frozen=True)
class Run:
    """How a training ended, the steps that rank 0 printed, and where it ran."""

    returncode: int
    steps: list[Step]
    output: str
    folder: Path


def environment(python: Path, *, shim: bool = True) -> dict[str, str]:
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    env["PATH"] = f"{python.parent}:{env['PATH']}"
    return {**env, "PYTHONPATH": str(SHIM)} if shim else env


def run(argv: list[str], folder: Path, env: dict[str, str]) -> tuple[int, str]:
    """Run a training and return its exit code and output; on a timeout end msrun and its workers."""
    with subprocess.Popen(
        argv, cwd=folder, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    ) as process:
        try:
            output, _ = process.communicate(timeout=TIMEOUT)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGINT)  # on SIGINT msrun ends its workers, on SIGTERM it leaves them
            output, _ = process.communicate()
            raise AssertionError(f"no end after {TIMEOUT} s:\n{output[-3000:]}") from None
        return process.returncode, output


def steps_of(text: str) -> list[Step]:
    return [step for step in map(parse_line, text.splitlines()) if isinstance(step, Step)]


@pytest.fixture(scope="module")
def written(mindspore_python: Path, dataset: Path) -> Any:
    """What stands in the dataset, read by MindSpore."""
    argv = [mindspore_python, "-c", READ_BACK, dataset, *SPECIAL_TOKENS]
    return json.loads(subprocess.run(argv, check=True, capture_output=True, text=True).stdout)


@pytest.fixture(scope="module")
def finetune(mindspore_python: Path, dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A finetune with two workers on this machine."""
    folder = tmp_path_factory.mktemp("finetune")
    logs = folder / "logs"
    argv = [
        "msrun",
        *("--worker_num=2", "--local_worker_num=2", "--node_rank=0", "--join=True", "--cluster_time_out=60"),
        *("--master_addr=127.0.0.1", f"--master_port={free_port()}", f"--log_dir={logs}"),
        *("python3", str(ENTRY), "--config", str(CONFIG)),
        *("--train_dataset_dir", str(dataset), "--use_parallel", "True"),
    ]
    returncode, output = run(argv, folder, environment(mindspore_python))
    log = logs / "worker_0.log"
    text = log.read_text(errors="replace") if log.exists() else output
    return Run(returncode=returncode, steps=steps_of(text), output=text, folder=folder)


def train_alone(python: Path, folder: Path, *options: str, shim: bool = True) -> Run:
    """Train in one process."""
    argv = [str(python), str(ENTRY), "--config", str(CONFIG), *options]
    returncode, output = run(argv, folder, environment(python, shim=shim))
    return Run(returncode=returncode, steps=steps_of(output), output=output, folder=folder)


def test_rows_have_the_models_shape_and_teach_the_answers(written: Any) -> None:
    assert len(written["rows"]) > 60
    for row in written["rows"]:
        assert len(row["input_ids"]) == len(row["labels"]) == ROW_LENGTH
        pairs = zip(row["input_ids"], row["labels"], strict=True)
        assert all(label in (number, IGNORED) for number, label in pairs)
    taught = "".join(written["learned"])
    for record in dialogues():
        answer = record["dialog"][-1]["content"]
        assert answer.splitlines()[0] in taught


def test_the_tokenizer_has_telechats_special_tokens(written: Any) -> None:
    assert written["special"][:3] == [1, 2, PAD]
    assert len(set(written["special"])) == len(SPECIAL_TOKENS)
    assert 0 not in written["special"]
    assert written["size"] == 2048
    assert written["newline"]


def test_the_dataset_is_made_the_same_every_time(mindspore_python: Path, dataset: Path, tmp_path: Path) -> None:
    argv = [mindspore_python, "-m", "lab.workload.dataset", "--output", tmp_path]
    subprocess.run(argv, cwd=ROOT, check=True, capture_output=True)
    for name in ("dialogues.jsonl", "tokenizer.model", "dialogues.mindrecord"):
        assert (tmp_path / name).read_bytes() == (dataset / name).read_bytes(), name


def test_two_workers_train_and_the_loss_falls(finetune: Run) -> None:
    assert finetune.returncode == 0, finetune.output[-3000:]
    assert len(finetune.steps) >= 30
    assert finetune.steps[-1].number == finetune.steps[-1].total == len(finetune.steps)
    assert finetune.steps[0].loss > 7
    assert finetune.steps[-1].loss < 5


def test_both_workers_leave_a_checkpoint(finetune: Run) -> None:
    for rank in (0, 1):
        folder = finetune.folder / "output" / "checkpoint" / f"rank_{rank}"
        meta = json.loads((folder / "meta.json").read_text())
        last = finetune.steps[-1]
        assert (meta["last_epoch"], meta["last_step"]) == (last.epoch, last.step)
        assert (folder / meta["last_ckpt_file"]).stat().st_size > 0


def test_one_process_goes_on_from_a_checkpoint(
    mindspore_python: Path, dataset: Path, finetune: Run, tmp_path: Path
) -> None:
    (checkpoint,) = (finetune.folder / "output" / "checkpoint" / "rank_0").glob("*.ckpt")
    options = ("--train_dataset_dir", str(dataset), "--load_checkpoint", str(checkpoint), "--epochs", "1")
    again = train_alone(mindspore_python, tmp_path, *options)
    assert again.returncode == 0, again.output[-3000:]
    assert again.steps[0].loss < 5


def test_without_the_shim_cpu_cannot_train(mindspore_python: Path, dataset: Path, tmp_path: Path) -> None:
    """The shim's patch is needed; a MindSpore that trains without it makes the shim superfluous."""
    bare = train_alone(mindspore_python, tmp_path, "--train_dataset_dir", str(dataset), shim=False)
    assert bare.returncode == 1
    assert "NPUGetFloatStatus" in bare.output or "FloatStatus" in bare.output, bare.output[-3000:]
    assert not bare.steps


def test_a_yaml_that_mindformers_refuses_is_one_line(mindspore_python: Path, dataset: Path, tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(CONFIG.read_text().replace("sink_size: 1", "sinksize: 1"))
    argv = [str(mindspore_python), str(ENTRY), "--config", str(config), "--train_dataset_dir", str(dataset)]
    returncode, output = run(argv, tmp_path, environment(mindspore_python))
    assert returncode == 3
    assert f"run_mindformer.py: error: {config}: " in output
    assert "sinksize" in output
    assert "Traceback" not in output
