# SPDX-License-Identifier: Apache-2.0
"""`telechat-run preprocess`."""

from __future__ import annotations

import json
import os
import sys
from typing import Any, Dict, List, Optional, Tuple

import click

from telechat_runtime.cli.options import interruptible, json_option
from telechat_runtime.preprocess.dataset import LEFT_OUT, OnError, PreprocessSpec, make_dataset

_PERCENT = 100
_EVERY_PERCENT = 10


@click.command(short_help="Make training data of JSONL files.")
@click.option(
    "--input",
    "inputs",
    required=True,
    multiple=True,
    metavar="FILE",
    help="JSONL with `system` and `dialog`, or `input` and `output`, on each line; may be repeated.",
)
@click.option("--tokenizer", required=True, metavar="FILE", help="The model's vocabulary, tokenizer.model.")
@click.option(
    "--max-length",
    required=True,
    type=click.IntRange(min=1),
    help="The model's seq_length in training; a row has one id more.",
)
@click.option("--output", required=True, metavar="FOLDER", help="Made new; give it to finetune as --dataset.")
@click.option("--seed", default=2024, show_default=True, type=int, help="Of the order in which records are packed.")
@click.option("--shards", default=1, show_default=True, type=click.IntRange(min=1), help="MindRecord files to write.")
@click.option("--workers", type=click.IntRange(min=1), help="Processes that tokenize. Default: one for each CPU.")
@click.option(
    "--on-error",
    default=OnError.STOP.value,
    show_default=True,
    type=click.Choice([each.value for each in OnError]),
    help="At a malformed line: stop, or leave it out and say so in left_out.jsonl.",
)
@json_option
def preprocess(*, inputs: Tuple[str, ...], workers: Optional[int], on_error: str, as_json: bool, **wishes: Any) -> None:
    """Make training data of JSONL files: records shuffled, tokenized and packed into rows of MindRecord files.

    The same files, seed and vocabulary give the same rows, bit for bit, for any number of workers. It needs MindSpore
    and sentencepiece on this machine; a node's container has both.
    """
    spec = PreprocessSpec(
        inputs=inputs, workers=workers or len(os.sched_getaffinity(0)), on_error=OnError(on_error), **wishes
    )
    with interruptible() as interrupt:
        manifest = make_dataset(spec, interrupt, _Progress(live=sys.stderr.isatty()))
    click.echo(json.dumps(manifest, indent=2, ensure_ascii=False) if as_json else _text(manifest, spec))


class _Progress:
    """Says how far it is: on a terminal in place, elsewhere a line for every tenth."""

    def __init__(self, *, live: bool) -> None:
        self._live = live
        self._said = 0

    def __call__(self, done: int, records: int) -> None:
        percent = done * _PERCENT // records
        if self._live and percent > self._said:
            click.echo(f"\rpacked {done} of {records} records", err=True, nl=done == records)
            self._said = percent
        elif not self._live and (percent >= self._said + _EVERY_PERCENT or done == records):
            click.echo(f"packed {done} of {records} records", err=True)
            self._said = percent


def _text(manifest: Dict[str, Any], spec: PreprocessSpec) -> str:
    records, tokens, lengths = manifest["records"], manifest["tokens"], manifest["record_lengths"]
    padding = tokens["padding"] * _PERCENT / tokens["in_rows"]
    lines: List[str] = [
        f"{spec.output}: {manifest['rows']} rows of {manifest['row_length']} ids in {len(manifest['files'])} file(s)",
        "  records: {all}, of which {packed} packed, {too_long} too long, {malformed} malformed".format_map(records),
        f"  ids: {tokens['in_rows']}, of which {padding:.1f} % padding; {tokens['learned']} are learned",
        "  ids of a record: " + ", ".join(f"{name} {value}" for name, value in lengths.items()),
    ]
    if records["too_long"] or records["malformed"]:
        lines.append(f"  each record left out, with its line and why: {spec.output}/{LEFT_OUT}")
    return "\n".join(lines)
