# SPDX-License-Identifier: Apache-2.0
"""Build the lab's training data: ``python -m lab.workload.dataset --output DIR [--seq-length 128]``.

Needs MindSpore and sentencepiece (the project's extra `[cpu]`). The folder then holds

    dialogues.jsonl           the records, one JSON object a line
    tokenizer.model           a sentencepiece model trained on them, with TeleChat's special tokens
    dialogues.mindrecord      rows of seq-length + 1 ids: input_ids, labels, int32 (the model shifts by one)
    dialogues.mindrecord.db   its index
"""

from __future__ import annotations

import argparse
import io
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab.errors import LabError
from lab.workload.dialogues import dialogues
from lab.workload.packing import SPECIAL_TOKENS, Tokenizer, Tokens, pack, shuffled, tokenize_dialogue

VOCABULARY = 2048
UNKNOWN, START, END, PAD = 0, 1, 2, 3  # TeleChat's own ids
MIN_SEQ_LENGTH = 16
DIALOGUES = "dialogues.jsonl"
TOKENIZER = "tokenizer.model"
MINDRECORD = "dialogues.mindrecord"
# MindRecord's own size of a page is 32 MiB, however little is in it. A page has to hold at least one row.
_HEADER_BYTES = 1 << 16
_MIN_PAGE_BYTES = 1 << 16
_INT32_BYTES = 4
_SCHEMA = {"input_ids": {"type": "int32", "shape": [-1]}, "labels": {"type": "int32", "shape": [-1]}}


@dataclass(frozen=True, kw_only=True)
class Summary:
    """What was built."""

    dialogues: int
    left_out: int
    rows: int
    row_length: int


def train_tokenizer(records: Sequence[dict[str, Any]]) -> bytes:
    """Return a sentencepiece model (BPE, byte fallback) trained on the records' texts."""
    import sentencepiece  # noqa: PLC0415 - only the extra [cpu] has it

    texts = [text for record in records for text in (record["system"], *(turn["content"] for turn in record["dialog"]))]
    lines = [line for text in texts for line in text.splitlines() if line.strip()]
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines),
        model_writer=model,
        model_type="bpe",
        vocab_size=VOCABULARY,
        character_coverage=1.0,
        byte_fallback=True,
        # Text comes back as it went in, line breaks too.
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
        num_threads=1,
        unk_id=UNKNOWN,
        bos_id=START,
        eos_id=END,
        pad_id=PAD,
        bos_piece=SPECIAL_TOKENS[0],
        eos_piece=SPECIAL_TOKENS[1],
        pad_piece=SPECIAL_TOKENS[2],
        user_defined_symbols=list(SPECIAL_TOKENS[3:]),
        minloglevel=2,
    )
    return model.getvalue()


def load_tokenizer(model: bytes) -> Tokenizer:
    """Return the tokenizer of a sentencepiece model."""
    import sentencepiece  # noqa: PLC0415 - only the extra [cpu] has it

    processor = sentencepiece.SentencePieceProcessor(model_proto=model)
    return Tokenizer(
        special={token: processor.piece_to_id(token) for token in SPECIAL_TOKENS},
        encode=processor.encode,
    )


def write_mindrecord(rows: Sequence[Tokens], path: Path) -> None:
    """Write rows as a MindRecord file, in their order."""
    import numpy as np  # noqa: PLC0415 - comes with MindSpore
    from mindspore.mindrecord import FileWriter  # noqa: PLC0415 - only the extra [cpu] has it

    row_bytes = 2 * _INT32_BYTES * len(rows[0])
    writer = FileWriter(str(path), shard_num=1, overwrite=True)
    writer.set_header_size(_HEADER_BYTES)
    writer.set_page_size(max(_MIN_PAGE_BYTES, 1 << (2 * row_bytes).bit_length()))
    writer.add_schema(_SCHEMA, "packed dialogues")
    writer.write_raw_data(
        [{"input_ids": np.array(row.input_ids, np.int32), "labels": np.array(row.labels, np.int32)} for row in rows]
    )
    writer.commit()
    for file in (path, path.with_name(f"{path.name}.db")):
        file.chmod(0o644)  # MindRecord makes them 0600, which shuts out a job of another user


def build(folder: Path, *, seq_length: int) -> Summary:
    """Write the four files into an empty or new folder.

    Raises:
        LabError: The folder holds files already, or rows would be too short for any dialogue.

    """
    if seq_length < MIN_SEQ_LENGTH:
        raise LabError(f"--seq-length {seq_length}: at least {MIN_SEQ_LENGTH} is needed")
    records = dialogues()
    _prepare(folder)
    (folder / DIALOGUES).write_text(
        "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records), encoding="utf-8"
    )
    model = train_tokenizer(records)
    (folder / TOKENIZER).write_bytes(model)
    tokenizer = load_tokenizer(model)
    samples = [tokenize_dialogue(records[position], tokenizer) for position in shuffled(len(records))]
    packed = pack(samples, row_length=seq_length + 1, pad=PAD)
    write_mindrecord(packed.rows, folder / MINDRECORD)
    return Summary(
        dialogues=len(records), left_out=len(packed.left_out), rows=len(packed.rows), row_length=seq_length + 1
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Build the data; 0 when it is whole, 1 when it could not be built, 2 for a wrong command line."""
    parser = argparse.ArgumentParser(
        prog="python -m lab.workload.dataset", description="Build the lab's training data."
    )
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="folder to write into")
    parser.add_argument("--seq-length", type=int, default=128, metavar="N", help="the model's seq_length (128)")
    options = parser.parse_args(argv)
    try:
        summary = build(options.output, seq_length=options.seq_length)
    except (LabError, OSError) as error:
        print(f"dataset: {error}", file=sys.stderr)
        return 1
    except ModuleNotFoundError as error:
        print(f"dataset: {sys.executable} has no {error.name}; install the extra [cpu] there", file=sys.stderr)
        return 1
    print(
        f"{options.output}: {summary.dialogues} dialogues in {summary.rows} rows of {summary.row_length} ids, "
        f"{summary.left_out} left out as longer than a row"
    )
    return 0


def _prepare(folder: Path) -> None:
    """Make room for a new build: an earlier one goes away, anything else stays and is an error."""
    ours = {DIALOGUES, TOKENIZER, MINDRECORD, f"{MINDRECORD}.db"}
    folder.mkdir(parents=True, exist_ok=True)
    strange = sorted(path.name for path in folder.iterdir() if path.name not in ours)
    if strange:
        raise LabError(f"{folder} holds other files ({', '.join(strange[:3])}): give a new or empty folder")
    for name in ours:
        (folder / name).unlink(missing_ok=True)


if __name__ == "__main__":
    sys.exit(main())
