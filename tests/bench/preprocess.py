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
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.bench.timing import medians, seconds

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


Row = tuple[list[int], list[int]]
Ids = Callable[[str], list[int]]


def upstream_way(source: str, model: str, output: str) -> None:
    """Write the rows of a file, of either shape, as the version of the published script that reads it does."""
    tokenizer = upstream_tokenizer(model)

    def ids(text: str) -> list[int]:
        found: list[int] = tokenizer(text, add_special_tokens=False)["input_ids"]
        return found

    records = [json.loads(line) for line in Path(source).read_text(encoding="utf-8").splitlines()]
    random.Random(2024).shuffle(records)  # noqa: S311 - an order, not a secret
    write(dialogue_rows(records, ids) if "dialog" in records[0] else exchange_rows(records, ids), output)


def dialogue_rows(records: list[dict[str, Any]], ids: Ids) -> list[Row]:
    """Return rows of dialogues, each record tokenized once, padded on the right."""
    rows: list[Row] = []
    row: Row = ([], [])
    for record in records:
        tokens, labels = dialogue(record, ids)
        if len(tokens) > MAX_LENGTH + 1:
            continue
        if len(row[0]) + len(tokens) > MAX_LENGTH + 1:
            rows.append(row)
            row = ([], [])
        row = (row[0] + tokens, row[1] + labels)
    (pad,) = ids("<_pad>")
    rests = [MAX_LENGTH + 1 - len(tokens) for tokens, _ in (*rows, row)]
    return [
        (tokens + [pad] * rest, labels + [IGNORED] * rest)
        for (tokens, labels), rest in zip((*rows, row), rests, strict=True)
    ]


def dialogue(record: dict[str, Any], ids: Ids) -> Row:
    """Return the ids and labels of one dialogue."""
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


def exchange_rows(records: list[dict[str, Any]], ids: Ids) -> list[Row]:
    """Return rows of single questions and answers, padded on the left.

    As that script does, each record is tokenized to know its length, and each row of texts once more.
    """
    texts = [f"<_start><_user>{record['input']}<_bot>{record['output']}<_end>" for record in records]
    groups: list[tuple[int, list[str]]] = [(0, [])]
    for text in texts:
        length = len(exchanges([text], ids)[0])
        used, group = groups[-1]
        if used + length <= MAX_LENGTH:
            groups[-1] = (used + length, [*group, text])
        else:
            groups.append((length, [text]) if length <= MAX_LENGTH else (0, []))
    (pad,) = ids("<_pad>")
    rows = []
    for used, group in groups:
        if group:
            rest = MAX_LENGTH + 1 - used
            tokens, labels = exchanges(group, ids)
            rows.append(([pad] * rest + tokens, [IGNORED] * rest + labels))
    return rows


def exchanges(texts: list[str], ids: Ids) -> Row:
    """Return the ids and labels of some texts of one question and answer each, all <_start> in front."""
    start, user, bot, end = (ids(token)[0] for token in ("<_start>", "<_user>", "<_bot>", "<_end>"))
    tokens, labels = [start] * len(texts), [IGNORED] * len(texts)
    for text in texts:
        question, answer = text.removeprefix("<_start><_user>").removesuffix("<_end>").split("<_bot>")
        asked, answered = ids(question), ids(answer)
        tokens += [user, *asked, bot, *answered, end]
        labels += [*[IGNORED] * (len(asked) + 2), *answered, end]
    return tokens, labels


def write(rows: list[Row], output: str) -> None:
    """Write rows one by one."""
    import numpy as np  # noqa: PLC0415
    from mindspore.mindrecord import FileWriter  # noqa: PLC0415

    writer = FileWriter(output, 1)
    writer.add_schema({name: {"type": "int32", "shape": [-1]} for name in ("input_ids", "labels")}, "rows")
    for tokens, labels in rows:
        columns = {"input_ids": tokens, "labels": labels}
        writer.write_raw_data([{name: np.asarray(column).astype(np.int32) for name, column in columns.items()}])
    writer.commit()


def rows_of(file: Path) -> list[tuple[bytes, bytes]]:
    """Return the rows of a MindRecord file."""
    from mindspore.mindrecord import FileReader  # noqa: PLC0415

    reader = FileReader(str(file))
    rows = [(row["input_ids"].tobytes(), row["labels"].tobytes()) for row in reader.get_next()]
    reader.close()
    return rows


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
        upstream_way(source, tokenizer, options.upstream_way)
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
    theirs, ours = medians(pairs)
    print(f"preprocess: {theirs / ours:.1f} x the upstream way ({theirs:.2f} s : {ours:.2f} s), rows the same: {same}")
    return 0 if same else 1


if __name__ == "__main__":
    sys.exit(main())
