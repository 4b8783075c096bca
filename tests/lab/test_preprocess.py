# SPDX-License-Identifier: Apache-2.0
"""preprocess with MindSpore and sentencepiece: the rows of the workload's own rule, for any number of workers."""

from __future__ import annotations

import hashlib
import json
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest

from telechat_runtime.node.facts.mindrecord import look

pytestmark = pytest.mark.cpu

ROOT = Path(__file__).resolve().parents[2]
MAX_LENGTH = 128
# The rows of a file as digests, so that two files are compared without an interpreter that has MindSpore.
READ = """
import hashlib, json, sys
from mindspore.mindrecord import FileReader
reader = FileReader(sys.argv[1])
rows = [[row[name].tolist() for name in ("input_ids", "labels")] for row in reader.get_next()]
print(json.dumps([hashlib.sha256(json.dumps(row).encode()).hexdigest() for row in rows]))
"""


def preprocess(
    python: Path, source: Path, tokenizer: Path, output: Path, *more: str
) -> subprocess.CompletedProcess[str]:
    argv = [python, "-m", "telechat_runtime", "preprocess", "--input", source, "--tokenizer", tokenizer]
    argv += ["--max-length", str(MAX_LENGTH), "--output", output, *more]
    return subprocess.run(argv, cwd=ROOT, check=False, capture_output=True, text=True, timeout=300)


def rows(python: Path, file: Path) -> list[str]:
    done = subprocess.run([python, "-c", READ, file], check=True, capture_output=True, text=True, timeout=300)
    found: list[str] = json.loads(done.stdout)
    return found


def test_the_rows_are_the_rules_for_any_number_of_workers_and_shards(
    mindspore_python: Path, dataset: Path, tmp_path: Path
) -> None:
    source, tokenizer = dataset / "dialogues.jsonl", dataset / "tokenizer.model"
    manifests = {}
    for name, more in {"one": ("--workers", "1"), "many": ("--workers", "3", "--shards", "2")}.items():
        done = preprocess(mindspore_python, source, tokenizer, tmp_path / name, "--json", *more)
        assert done.returncode == 0, done.stderr
        manifests[name] = json.loads(done.stdout)
        assert json.loads((tmp_path / name / "dataset.json").read_text()) == manifests[name]
    expected = rows(mindspore_python, dataset / "dialogues.mindrecord")
    assert rows(mindspore_python, tmp_path / "one" / "dataset.mindrecord") == expected
    assert sorted(rows(mindspore_python, tmp_path / "many" / "dataset.mindrecord0")) == sorted(expected)
    assert manifests["one"]["sha256_of_rows"] == manifests["many"]["sha256_of_rows"]
    assert manifests["many"]["files"] == ["dataset.mindrecord0", "dataset.mindrecord1"]
    assert manifests["one"]["inputs"][0]["sha256"] == hashlib.sha256(source.read_bytes()).hexdigest()
    assert {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "many").iterdir()} == {0o644}
    assert stat.S_IMODE((tmp_path / "many").stat().st_mode) == 0o755
    found = look(str(tmp_path / "many"))
    assert (found["rows"], found["row_lengths"], found["problem"]) == (len(expected), [MAX_LENGTH + 1], None)


def test_what_is_left_out_is_told_line_by_line_and_stop_writes_nothing(
    mindspore_python: Path, dataset: Path, tmp_path: Path
) -> None:
    lines: list[Any] = [
        {"input": "什么是分词器", "output": "把文本变成编号"},
        {"input": "long", "output": "编号 " * 500},
        {"input": "no output"},
    ]
    source = tmp_path / "in.jsonl"
    source.write_text("\n".join([*(json.dumps(line) for line in lines), "", "{broken"]) + "\n")
    stopped = preprocess(mindspore_python, source, dataset / "tokenizer.model", tmp_path / "out")
    assert stopped.returncode == 3
    assert "Traceback" not in stopped.stderr
    assert f"{source}:" in stopped.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.jsonl"]
    done = preprocess(mindspore_python, source, dataset / "tokenizer.model", tmp_path / "out", "--on-error", "skip")
    assert done.returncode == 0, done.stderr
    assert "records: 4, of which 1 packed, 1 too long, 2 malformed" in done.stdout
    told = [json.loads(line) for line in (tmp_path / "out" / "left_out.jsonl").read_text().splitlines()]
    assert sorted((each["line"], each["reason"].split(" ")[0]) for each in told) == [(2, "has"), (3, "has"), (5, "no")]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.jsonl", "out"]


@pytest.mark.parametrize("content", [b"", b"no model", None], ids=["empty", "text", "none"])
def test_a_file_that_is_no_tokenizer(
    mindspore_python: Path, dataset: Path, tmp_path: Path, content: bytes | None
) -> None:
    model = tmp_path / "tokenizer.model"
    if content is not None:
        model.write_bytes(content)
    done = preprocess(mindspore_python, dataset / "dialogues.jsonl", model, tmp_path / "out")
    assert done.returncode == 3
    assert f"{model} is no sentencepiece model" in done.stderr
    assert "Traceback" not in done.stderr
