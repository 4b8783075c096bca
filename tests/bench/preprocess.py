# SPDX-License-Identifier: Apache-2.0
"""Ids a second of `telechat-run preprocess`, as a multiple of the same rule done the upstream way.

``python -m tests.bench.preprocess FILE.jsonl TOKENIZER.model``, under an interpreter with MindSpore and MindFormers.
The upstream way: one process, MindFormers' own tokenizer class over sentencepiece, all rows kept in memory, written
one by one. Both run in turn, as processes of their own, from start to end.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
MAX_LENGTH = 8192
IGNORED = -100
SPECIAL = "<_start> <_end> <_pad> <_user> <_bot> <_system> <tool_call> </tool_call> <tool_response> </tool_response>"
MARKS = {"user": "<_user>", "bot": "<_bot>"}


def upstream_tokenizer(path: str) -> Any:
    """Return a tokenizer of MindFormers' class, as research models bring one."""
    import sentencepiece  # noqa: PLC0415 - only the interpreter with MindFormers has them
    from mindformers.models.tokenization_utils import PreTrainedTokenizer  # noqa: PLC0415

    class Tokenizer(PreTrainedTokenizer):
        def __init__(self) -> None:
            self.model = sentencepiece.SentencePieceProcessor(model_file=path)
            super().__init__(additional_special_tokens=SPECIAL.split())

        @property
        def vocab_size(self) -> int:
            return self.model.get_piece_size()

        def get_vocab(self) -> dict[str, int]:
            return {self.model.id_to_piece(number): number for number in range(self.vocab_size)}

        def _tokenize(self, text: str, **_: Any) -> list[str]:
            return self.model.encode(text, out_type=str)

        def _convert_token_to_id(self, token: str) -> int:
            return self.model.piece_to_id(token)

        def _convert_id_to_token(self, index: int) -> str:
            return self.model.id_to_piece(index)

    return Tokenizer()


def upstream_way(source: str, model: str, output: str) -> int:
    """Write the rows of a file of dialogues; return how many ids its records have."""
    import numpy as np  # noqa: PLC0415
    from mindspore.mindrecord import FileWriter  # noqa: PLC0415

    tokenizer = upstream_tokenizer(model)

    def ids(text: str) -> list[int]:
        return tokenizer(text, add_special_tokens=False)["input_ids"]

    def sample(record: dict[str, Any]) -> tuple[list[int], list[int]]:
        tokens = ids("<_system>") + ids(record["system"])
        labels = [IGNORED] * len(tokens)
        for turn in record["dialog"]:
            mark, content = ids(MARKS[turn["role"]]), ids(turn["content"])
            tokens += mark + content
            labels += [IGNORED] * len(mark)
            if turn["role"] == "bot":
                end, newline = ids("<_end>"), ids("\n")
                tokens += end + newline
                labels += content + end + [IGNORED] * len(newline)
            else:
                labels += [IGNORED] * len(content)
        return tokens, labels

    records = [json.loads(line) for line in Path(source).read_text(encoding="utf-8").splitlines()]
    random.Random(2024).shuffle(records)  # noqa: S311 - an order, not a secret
    rows, row, total = [], ([], []), 0
    for record in records:
        tokens, labels = sample(record)
        total += len(tokens)
        if len(tokens) > MAX_LENGTH + 1:
            continue
        if len(row[0]) + len(tokens) > MAX_LENGTH + 1:
            rows.append(row)
            row = ([], [])
        row = (row[0] + tokens, row[1] + labels)
    rows.append(row)
    writer = FileWriter(output, 1)
    writer.add_schema({name: {"type": "int32", "shape": [-1]} for name in ("input_ids", "labels")}, "rows")
    (pad,) = ids("<_pad>")
    for tokens, labels in rows:
        rest = MAX_LENGTH + 1 - len(tokens)
        columns = {"input_ids": tokens + [pad] * rest, "labels": labels + [IGNORED] * rest}
        writer.write_raw_data([{name: np.asarray(column).astype(np.int32) for name, column in columns.items()}])
    writer.commit()
    return total


def rows_of(file: Path) -> list[tuple[bytes, bytes]]:
    """Return the rows of a MindRecord file."""
    from mindspore.mindrecord import FileReader  # noqa: PLC0415

    reader = FileReader(str(file))
    rows = [(row["input_ids"].tobytes(), row["labels"].tobytes()) for row in reader.get_next()]
    reader.close()
    return rows


def seconds(argv: list[str]) -> float:
    """Run a command that has to succeed and return how long it took."""
    began = time.monotonic()
    subprocess.run(argv, cwd=ROOT, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.monotonic() - began


def main() -> int:
    """Measure and print one line."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.preprocess", description=__doc__)
    parser.add_argument("source")
    parser.add_argument("tokenizer")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--upstream-way", metavar="FILE", help="only write the rows so, into FILE")
    options = parser.parse_args()
    source, tokenizer = (str(Path(path).resolve()) for path in (options.source, options.tokenizer))
    if options.upstream_way:
        print(upstream_way(source, tokenizer, options.upstream_way))
        return 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        slow = [
            sys.executable,
            "-m",
            "tests.bench.preprocess",
            source,
            tokenizer,
            "--upstream-way",
            str(folder / "slow"),
        ]
        fast = [sys.executable, "-m", "telechat_runtime", "preprocess", "--input", source, "--tokenizer", tokenizer]
        fast += ["--max-length", str(MAX_LENGTH), "--output", str(folder / "fast")]
        pairs = []
        for _ in range(options.rounds):
            shutil.rmtree(folder)
            folder.mkdir()
            pairs.append((seconds(slow), seconds(fast)))
        same = rows_of(folder / "slow") == rows_of(folder / "fast" / "dataset.mindrecord")
    theirs, ours = (statistics.median(column) for column in zip(*pairs, strict=True))
    print(f"preprocess: {theirs / ours:.1f} x the upstream way ({theirs:.2f} s : {ours:.2f} s), rows the same: {same}")
    return 0 if same else 1


if __name__ == "__main__":
    sys.exit(main())
