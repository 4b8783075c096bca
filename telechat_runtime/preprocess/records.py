# SPDX-License-Identifier: Apache-2.0
"""What one line of the training data means: the texts in the order in which they are trained on.

Two shapes exist: TeleChat's published data has `system` and `dialog`, the current preprocessing script of its
MindFormers tree reads `input` and `output`. In both, special tokens written out in a text count as special tokens.
"""

from __future__ import annotations

import enum
import json
from dataclasses import dataclass
from typing import Any, Dict, List, Tuple

from telechat_runtime.node.programs.predict.tokens import BOT, END, SYSTEM, USER

START, PAD = "<_start>", "<_pad>"
_ROLES = {"user": USER, "bot": BOT}
_NEWLINE = "\n"
_SHOWN = 40

Piece = Tuple[str, bool]
"""A text or a special token, and whether the model learns to say it."""


class Shape(str, enum.Enum):
    """The two shapes of a record."""

    DIALOG = "dialog"
    INPUT_OUTPUT = "input/output"

    def __str__(self) -> str:
        return self.value


REQUIRED_TOKENS = {
    Shape.DIALOG: (SYSTEM, USER, BOT, END, PAD),
    Shape.INPUT_OUTPUT: (START, USER, BOT, END, PAD),
}


class MalformedError(Exception):
    """A line is no record; the text is the reason, to be read after the line's number."""


@dataclass(frozen=True)
class Record:
    """The pieces of a record, each to be tokenized apart, and how many <_start> its row gets for it."""

    pieces: Tuple[Piece, ...]
    starts: int = 0


def parse_object(line: bytes) -> Dict[str, Any]:
    """Return the JSON object of a line.

    Raises:
        MalformedError: The line is not UTF-8, no JSON, or no object.

    """
    try:
        value = json.loads(line.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise MalformedError(f"byte {error.start + 1} of the line is not UTF-8") from error
    except json.JSONDecodeError as error:
        raise MalformedError(f"no JSON: {error.msg} at column {error.colno}") from error
    except RecursionError as error:
        raise MalformedError("no record: nested too deeply") from error
    if not isinstance(value, dict):
        raise MalformedError("no JSON object: a line holds one record as {...}")
    return value


def shape_of(record: Dict[str, Any]) -> Shape:
    """Return which shape a record has.

    Raises:
        MalformedError: It has neither.

    """
    if "dialog" in record:
        return Shape.DIALOG
    if "input" in record and "output" in record:
        return Shape.INPUT_OUTPUT
    raise MalformedError("has neither `dialog` nor `input` and `output`")


def parse_record(line: bytes, shape: Shape) -> Record:
    """Return what a line of this shape trains on.

    Raises:
        MalformedError: The line is no record of this shape.

    """
    found = parse_object(line)
    own = shape_of(found)
    if own is not shape:
        raise MalformedError(f"has the shape {own}, while the first record has {shape}")
    record = _dialogue(found) if shape is Shape.DIALOG else _exchange(found)
    if b"\\u" in line:
        _check_surrogates(record)
    return record


def _dialogue(record: Dict[str, Any]) -> Record:
    pieces: List[Piece] = [(SYSTEM, False), (_text(record, "system", "the record"), False)]
    turns = record["dialog"]
    if not isinstance(turns, list) or not turns:
        raise MalformedError("`dialog` is no list of turns")
    for number, turn in enumerate(turns, start=1):
        where = f"turn {number}"
        if not isinstance(turn, dict):
            raise MalformedError(f"{where} is no JSON object")
        role = _text(turn, "role", where)
        if role not in _ROLES:
            raise MalformedError(f"{where} has the role {role[:_SHOWN]!r}, which is neither of {', '.join(_ROLES)}")
        content = _text(turn, "content", where)
        pieces.append((_ROLES[role], False))
        if role == "bot":
            pieces += ((content, True), (END, True), (_NEWLINE, False))
        else:
            pieces.append((content, False))
    return Record(tuple(pieces))


def _exchange(record: Dict[str, Any]) -> Record:
    """Return the turns of `input` (which may hold earlier turns, marked by special tokens) and `output`."""
    question, answer = (_text(record, key, "the record") for key in ("input", "output"))
    text = question if question.startswith(USER) else USER + question
    if BOT in text:
        # An earlier turn has its answer in it and gets its end here; the last one waits for `output`.
        text = "".join(USER + turn + (END if BOT in turn else BOT) for turn in text.split(USER)[1:])
    else:
        text += BOT
    conversations = (text + answer + END).split(START)
    pieces: List[Piece] = []
    for conversation in conversations:
        pieces += _turns(conversation)
    return Record(tuple(pieces), starts=len(conversations))


def _turns(conversation: str) -> List[Piece]:
    questions = [turn.split(BOT)[0] for turn in conversation.split(USER)[1:]]
    answers = [turn.split(BOT)[-1] for turn in conversation.split(END)[:-1]]
    if not len(questions) == len(answers) == conversation.count(BOT):
        raise MalformedError(
            f"its {len(questions)} {USER}, {conversation.count(BOT)} {BOT} and {len(answers)} {END} pair no turns"
        )
    pieces: List[Piece] = []
    for question, answer in zip(questions, answers):
        pieces += ((USER, False), (question, False), (BOT, False), (answer, True), (END, True))
    return pieces


def _text(found: Dict[str, Any], key: str, where: str) -> str:
    if key not in found:
        raise MalformedError(f"{where} has no `{key}`")
    value = found[key]
    if not isinstance(value, str):
        raise MalformedError(f"`{key}` of {where} is {json.dumps(value)[:_SHOWN]}, not a text")
    return value


def _check_surrogates(record: Record) -> None:
    """Refuse half a surrogate pair, which JSON can write but UTF-8 cannot."""
    for text, _ in record.pieces:
        try:
            text.encode("utf-8")
        except UnicodeEncodeError as error:
            raise MalformedError(f"a text has {text[error.start]!a}, half a surrogate pair") from error
