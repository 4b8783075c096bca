# SPDX-License-Identifier: Apache-2.0
"""The rows are those of the rule written down plainly, whatever the records and however they are cut into chunks."""

from __future__ import annotations

import json
from typing import Any, Dict, List, Tuple

from hypothesis import given
from hypothesis import strategies as st

from telechat_runtime.preprocess.encoding import Encoder
from telechat_runtime.preprocess.records import Shape
from telechat_runtime.preprocess.rows import IGNORED, RowFiller, samples
from tests.support.words import ID, VOCABULARY, encode, ids

Rows = List[Tuple[List[int], List[int]]]

TEXT = st.text(st.sampled_from("ab中\n "), max_size=6)
TURN = st.fixed_dictionaries({"role": st.sampled_from(["user", "bot"]), "content": TEXT})
DIALOGS = st.lists(
    st.fixed_dictionaries({"system": TEXT, "dialog": st.lists(TURN, min_size=1, max_size=4)}), max_size=12
)
EXCHANGES = st.lists(st.fixed_dictionaries({"input": TEXT, "output": TEXT}), max_size=12)
MAX_LENGTH = st.integers(1, 40)
CHUNK = st.integers(1, 5)


def made(records: List[Dict[str, Any]], shape: Shape, max_length: int, chunk: int) -> Rows:
    encoder = Encoder(VOCABULARY, encode, shape)
    filler = RowFiller(shape, max_length, pad=ID["<_pad>"], start=ID["<_start>"])
    lines = [json.dumps(record).encode() for record in records]
    rows = []
    for begin in range(0, len(lines), chunk):
        for sample in samples(encoder.chunk(lines[begin : begin + chunk])):
            assert sample is not None
            rows.append(filler.add(sample)[1])
    rows.append(filler.finish())
    return [(row.input_ids.tolist(), row.labels.tolist()) for row in rows if row is not None]


def of_text(text: str) -> List[int]:
    return ids(text) if text else []


def dialog_rule(record: Dict[str, Any]) -> Tuple[List[int], List[int]]:
    row = [ID["<_system>"], *of_text(record["system"])]
    labels = [IGNORED] * len(row)
    for turn in record["dialog"]:
        content = of_text(turn["content"])
        if turn["role"] == "user":
            row += [ID["<_user>"], *content]
            labels += [IGNORED] * (1 + len(content))
        else:
            newline = ids("\n")
            row += [ID["<_bot>"], *content, ID["<_end>"], *newline]
            labels += [IGNORED, *content, ID["<_end>"], *[IGNORED] * len(newline)]
    return row, labels


@given(DIALOGS, MAX_LENGTH, CHUNK)
def test_dialogues_are_padded_on_the_right_and_a_too_long_one_changes_nothing(
    records: List[Dict[str, Any]], max_length: int, chunk: int
) -> None:
    length = max_length + 1
    expected: Rows = []
    row: Tuple[List[int], List[int]] = ([], [])
    for tokens, labels in map(dialog_rule, records):
        if len(tokens) > length:
            continue
        if len(row[0]) + len(tokens) > length:
            expected.append(row)
            row = ([], [])
        row = (row[0] + tokens, row[1] + labels)
    expected += [row] if row[0] else []
    padded = [
        (tokens + [ID["<_pad>"]] * (length - len(tokens)), labels + [IGNORED] * (length - len(labels)))
        for tokens, labels in expected
    ]
    assert made(records, Shape.DIALOG, max_length, chunk) == padded


@given(EXCHANGES, MAX_LENGTH, CHUNK)
def test_exchanges_are_padded_on_the_left_their_starts_first_and_a_too_long_one_closes_the_row(
    records: List[Dict[str, Any]], max_length: int, chunk: int
) -> None:
    rows: List[List[Tuple[List[int], List[int]]]] = [[]]
    for record in records:
        question, answer = of_text(record["input"]), of_text(record["output"])
        tokens = [ID["<_user>"], *question, ID["<_bot>"], *answer, ID["<_end>"]]
        labels = [*[IGNORED] * (2 + len(question)), *answer, ID["<_end>"]]
        used = sum(1 + len(each) for each, _ in rows[-1])
        if used + 1 + len(tokens) <= max_length:
            rows[-1].append((tokens, labels))
        else:
            rows.append([(tokens, labels)] if 1 + len(tokens) <= max_length else [])
    expected: Rows = []
    for row in filter(None, rows):
        padding = max_length + 1 - sum(1 + len(tokens) for tokens, _ in row)
        head = [ID["<_pad>"]] * padding + [ID["<_start>"]] * len(row)
        expected.append(
            (
                head + [i for tokens, _ in row for i in tokens],
                [IGNORED] * len(head) + [i for _, own in row for i in own],
            )
        )
    assert made(records, Shape.INPUT_OUTPUT, max_length, chunk) == expected


def test_a_special_token_written_in_a_text_is_its_one_id_and_cuts_the_text() -> None:
    record = {"system": "a<tool_call>b", "dialog": [{"role": "user", "content": "<unknown>"}]}
    ((row, _),) = made([record], Shape.DIALOG, 30, 1)
    start = [ID["<_system>"], *ids("a"), ID["<tool_call>"], *ids("b"), ID["<_user>"], *ids("<unknown>")]
    assert row[: len(start)] == start
    assert set(row[len(start) :]) == {ID["<_pad>"]}
