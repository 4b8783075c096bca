# SPDX-License-Identifier: Apache-2.0
"""Packing loses nothing, teaches only what the bot says, and makes rows of one length."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.workload.packing import IGNORED, SPECIAL_TOKENS, Tokenizer, Tokens, pack, shuffled, tokenize_dialogue

PAD = 3
SPECIAL = {token: number for number, token in enumerate(SPECIAL_TOKENS, start=1)}
START, END, _, USER, BOT, SYSTEM, *_ = SPECIAL.values()
SPACE = 1000


def encode(text: str) -> list[int]:
    """One id for each character, and a first one for the call, as sentencepiece's dummy prefix is."""
    return [SPACE, *(2000 + ord(character) for character in text)]


TOKENIZER = Tokenizer(special=SPECIAL, encode=encode)


def ids(text: str) -> tuple[int, ...]:
    return tuple(encode(text))


samples = st.lists(
    st.lists(st.tuples(st.integers(10, 99), st.booleans()), min_size=1, max_size=12).map(
        lambda pairs: Tokens(
            input_ids=tuple(number for number, _ in pairs),
            labels=tuple(number if learned else IGNORED for number, learned in pairs),
        )
    ),
    max_size=30,
)


@given(samples, st.integers(1, 15))
def test_rows_hold_every_sample_in_order_unless_it_is_longer_than_a_row(
    dialogues: list[Tokens], row_length: int
) -> None:
    packed = pack(dialogues, row_length=row_length, pad=PAD)
    kept = [dialogue for position, dialogue in enumerate(dialogues) if position not in packed.left_out]
    pairs = [
        pair
        for row in packed.rows
        for pair in zip(row.input_ids, row.labels, strict=True)
        if pair[0] != PAD  # the samples' ids are all greater
    ]
    assert pairs == list(
        itertools.chain.from_iterable(zip(dialogue.input_ids, dialogue.labels, strict=True) for dialogue in kept)
    )
    assert [position for position, dialogue in enumerate(dialogues) if len(dialogue) > row_length] == list(
        packed.left_out
    )


@given(samples, st.integers(1, 15))
def test_rows_have_one_length_and_padding_is_on_the_right_and_not_learned(
    dialogues: list[Tokens], row_length: int
) -> None:
    for row in pack(dialogues, row_length=row_length, pad=PAD).rows:
        assert len(row.input_ids) == len(row.labels) == row_length
        filled = row_length - row.input_ids.count(PAD)
        assert filled > 0
        assert set(row.input_ids[filled:]) <= {PAD}
        assert set(row.labels[filled:]) <= {IGNORED}


@given(samples, st.integers(1, 15))
def test_a_row_is_closed_only_when_the_next_sample_does_not_fit(dialogues: list[Tokens], row_length: int) -> None:
    packed = pack(dialogues, row_length=row_length, pad=PAD)
    kept = iter([dialogue for position, dialogue in enumerate(dialogues) if position not in packed.left_out])
    first_of_next = next(kept, None)
    for row in packed.rows:
        filled = row_length - row.input_ids.count(PAD)
        taken = 0
        while first_of_next is not None and taken + len(first_of_next) <= row_length:
            taken += len(first_of_next)
            first_of_next = next(kept, None)
        assert taken == filled
    assert first_of_next is None


def test_only_what_the_bot_says_and_its_end_is_learned() -> None:
    record = {
        "system": "s",
        "dialog": [
            {"role": "user", "content": "ab"},
            {"role": "bot", "content": "c"},
            {"role": "user", "content": "d"},
            {"role": "bot", "content": "e"},
        ],
    }
    tokens = tokenize_dialogue(record, TOKENIZER)
    newline = ids("\n")
    assert tokens.input_ids == (
        *(SYSTEM, *ids("s"), USER, *ids("ab"), BOT, *ids("c"), END, *newline),
        *(USER, *ids("d"), BOT, *ids("e"), END, *newline),
    )
    learned = [label for label in tokens.labels if label != IGNORED]
    assert learned == [*ids("c"), END, *ids("e"), END]
    assert all(label in (IGNORED, number) for number, label in zip(tokens.input_ids, tokens.labels, strict=True))


def test_special_tokens_in_a_text_are_one_id_each_and_what_is_between_is_encoded_apart() -> None:
    assert TOKENIZER.ids("a<tool_call>b</tool_call><_pad>c") == (
        *ids("a"),
        SPECIAL["<tool_call>"],
        *ids("b"),
        SPECIAL["</tool_call>"],
        SPECIAL["<_pad>"],
        *ids("c"),
    )


@given(st.text())
def test_text_without_special_tokens_is_encoded_in_one_call(text: str) -> None:
    if not any(token in text for token in SPECIAL_TOKENS):
        assert TOKENIZER.ids(text) == (ids(text) if text else ())


def test_an_unknown_role_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="'assistant'"):
        tokenize_dialogue({"system": "", "dialog": [{"role": "assistant", "content": "x"}]}, TOKENIZER)


def test_rows_need_a_length() -> None:
    with pytest.raises(ValueError, match="row_length 0"):
        pack([], row_length=0, pad=PAD)


def test_records_are_packed_in_upstreams_order() -> None:
    assert shuffled(10) == [6, 0, 9, 8, 3, 5, 1, 4, 2, 7]
    assert sorted(shuffled(274)) == list(range(274))
