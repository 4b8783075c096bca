# SPDX-License-Identifier: Apache-2.0
"""What a line is, and what is wrong with it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from telechat_runtime.preprocess.records import MalformedError, Shape, parse_record

DIALOG = {"system": "s", "dialog": [{"role": "user", "content": "q"}, {"role": "bot", "content": "a"}]}


def line(value: Any) -> bytes:
    return json.dumps(value).encode()


def text(value: Any, shape: Shape) -> str:
    """Return the pieces one behind the other, the learned ones in brackets."""
    return "".join(f"[{piece}]" if learned else piece for piece, learned in parse_record(line(value), shape).pieces)


def test_a_dialogue_learns_the_bots_words_and_its_end_but_not_the_newline() -> None:
    assert text(DIALOG, Shape.DIALOG) == "<_system>s<_user>q<_bot>[a][<_end>]\n"


def test_a_question_and_its_answer() -> None:
    assert text({"input": "q", "output": "a"}, Shape.INPUT_OUTPUT) == "<_user>q<_bot>[a][<_end>]"


def test_earlier_turns_in_the_input_are_learned_too() -> None:
    record = {"input": "<_user>q1<_bot>a1<_user>q2", "output": "a2"}
    assert text(record, Shape.INPUT_OUTPUT) == "<_user>q1<_bot>[a1][<_end>]<_user>q2<_bot>[a2][<_end>]"


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        (b"\xff{}", "byte 1 of the line is not UTF-8"),
        (b'{"system": ', "no JSON: "),
        (b"[1]", "object"),
        (line({"text": "x"}), "has neither `dialog` nor `input` and `output`"),
        (line({"dialog": DIALOG["dialog"]}), "the record has no `system`"),
        (line({"system": "s", "dialog": []}), "`dialog` is no list of turns"),
        (line({"system": "s", "dialog": ["q"]}), "turn 1 is no JSON object"),
        (line({"system": "s", "dialog": [{"role": "robot", "content": "x"}]}), "turn 1 has the role 'robot'"),
        (line({"system": "s", "dialog": [{"role": "bot", "content": 7}]}), "`content` of turn 1 is 7, not a text"),
        (line({"input": "q", "output": "a"}), "has the shape input/output, while the first record has dialog"),
        (b'{"system": "\\ud800", "dialog": [{"role": "user", "content": "q"}]}', "half a surrogate pair"),
    ],
)
def test_a_malformed_line_is_named_with_its_reason(broken: bytes, reason: str) -> None:
    with pytest.raises(MalformedError) as caught:
        parse_record(broken, Shape.DIALOG)
    assert reason in str(caught.value)


def test_marks_in_a_text_that_are_no_pairs_are_malformed() -> None:
    with pytest.raises(MalformedError, match="pair no turns"):
        parse_record(line({"input": "q", "output": "a<_bot>b"}), Shape.INPUT_OUTPUT)
