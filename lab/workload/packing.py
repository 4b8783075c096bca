# SPDX-License-Identifier: Apache-2.0
"""Dialogues as token ids, packed into rows of one length: pure functions, a tokenizer is handed in.

The rule is that of TeleChat2's first published `telechat_preprocess.py` for records with `dialog`, but keeps the last
row and tells what it leaves out, both of which upstream drops silently:

    ids    = <_system> sys... ( <_user> user... | <_bot> bot... <_end> newline )...
    labels = IGNORED everywhere but on the bot's tokens and its <_end>
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

SPECIAL_TOKENS = (
    "<_start>",
    "<_end>",
    "<_pad>",
    "<_user>",
    "<_bot>",
    "<_system>",
    "<tool_call>",
    "</tool_call>",
    "<tool_response>",
    "</tool_response>",
)
ROLES = {"user": "<_user>", "bot": "<_bot>"}
IGNORED = -100
SHUFFLE_SEED = 2024

_SPECIAL = re.compile("|".join(f"({re.escape(token)})" for token in SPECIAL_TOKENS))


@dataclass(frozen=True)
class Tokens:
    """Token ids and, of the same length, their labels."""

    input_ids: tuple[int, ...] = ()
    labels: tuple[int, ...] = ()

    def __len__(self) -> int:
        return len(self.input_ids)

    def __add__(self, other: Tokens) -> Tokens:
        return Tokens(self.input_ids + other.input_ids, self.labels + other.labels)


@dataclass(frozen=True, kw_only=True)
class Packed:
    """Rows of equal length, and the positions (in the order handed in) of the samples longer than a row."""

    rows: tuple[Tokens, ...]
    left_out: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Tokenizer:
    """The ids of the special tokens, and how ordinary text becomes ids (one call per stretch of text)."""

    special: Mapping[str, int]
    encode: Callable[[str], Sequence[int]]

    def ids(self, text: str) -> tuple[int, ...]:
        """Return the ids of a text: each special token is its one id, each stretch between them is encoded apart."""
        found: list[int] = []
        for piece in _SPECIAL.split(text):
            if piece in self.special:
                found.append(self.special[piece])
            elif piece:
                found.extend(self.encode(piece))
        return tuple(found)


def tokenize_dialogue(record: Mapping[str, Any], tokenizer: Tokenizer) -> Tokens:
    """Return the tokens of one record of the TeleChat format (`system`, `dialog`).

    Raises:
        ValueError: A turn's role is neither user nor bot.

    """
    tokens = _unlearned(tokenizer.ids("<_system>" + record["system"]))
    newline = _unlearned(tokenizer.ids("\n"))
    for turn in record["dialog"]:
        if turn["role"] not in ROLES:
            raise ValueError(f"role {turn['role']!r} of a turn is neither of {', '.join(ROLES)}")
        tokens += _unlearned(tokenizer.ids(ROLES[turn["role"]]))
        content = tokenizer.ids(turn["content"])
        if turn["role"] == "bot":
            answer = (*content, tokenizer.special["<_end>"])
            tokens += Tokens(answer, answer) + newline
        else:
            tokens += _unlearned(content)
    return tokens


def shuffled(count: int, seed: int = SHUFFLE_SEED) -> list[int]:
    """Return the positions of a file's records in the order in which they are packed."""
    order = list(range(count))
    random.Random(seed).shuffle(order)  # noqa: S311 - an order to reproduce, not a secret
    return order


def pack(samples: Sequence[Tokens], *, row_length: int, pad: int) -> Packed:
    """Fill rows of `row_length` ids with whole samples in the order given, padded on the right with `pad` and IGNORED.

    A sample that no longer fits closes the row and opens the next; one longer than a row is left out.

    Raises:
        ValueError: `row_length` is no positive number.

    """
    if row_length < 1:
        raise ValueError(f"row_length {row_length} must be at least 1")
    rows: list[Tokens] = []
    left_out: list[int] = []
    row = Tokens()
    for position, sample in enumerate(samples):
        if len(sample) > row_length:
            left_out.append(position)
            continue
        if len(row) + len(sample) > row_length:
            rows.append(row)
            row = Tokens()
        row += sample
    if row:
        rows.append(row)
    return Packed(rows=tuple(_padded(row, row_length, pad) for row in rows), left_out=tuple(left_out))


def _unlearned(ids: tuple[int, ...]) -> Tokens:
    return Tokens(ids, (IGNORED,) * len(ids))


def _padded(row: Tokens, length: int, pad: int) -> Tokens:
    rest = length - len(row)
    return row + Tokens((pad,) * rest, (IGNORED,) * rest)
