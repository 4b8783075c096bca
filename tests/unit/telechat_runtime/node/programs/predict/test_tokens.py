# SPDX-License-Identifier: Apache-2.0
"""The rule of splitting; what sentencepiece itself does is tested by the real run (tests/lab/test_predict.py)."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import ClassVar, Dict, List

import pytest

from telechat_runtime.node.programs.predict import InputError
from telechat_runtime.node.programs.predict.tokens import SPECIAL_TOKENS, Tokenizer

LETTERS = 100


class Processor:
    """Stands in for sentencepiece: each encoded stretch begins with 99, each letter is its code plus 100."""

    known: ClassVar[Dict[str, int]] = {token: number for number, token in enumerate(SPECIAL_TOKENS, start=1)}

    def __init__(self, *, model_file: str) -> None:
        if "bad" in model_file:
            raise RuntimeError("INTERNAL: could not parse\nModelProto")

    def unk_id(self) -> int:
        return 0

    def piece_to_id(self, piece: str) -> int:
        return self.known.get(piece, 0)

    def encode(self, text: str) -> List[int]:
        return [99, *(LETTERS + ord(letter) for letter in text)]

    def decode(self, ids: List[int]) -> str:
        return "".join(chr(token - LETTERS) for token in ids if token != 99)


@pytest.fixture(autouse=True)
def _sentencepiece(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("sentencepiece")
    module.SentencePieceProcessor = Processor  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "sentencepiece", module)


def test_special_tokens_cut_a_text_and_each_stretch_is_encoded_on_its_own() -> None:
    user, bot = Processor.known["<_user>"], Processor.known["<_bot>"]
    assert Tokenizer("t").encode("<_user>ab<_bot>c") == [user, 99, 197, 198, bot, 99, 199]
    assert Tokenizer("t").encode("") == []


def test_decoding_leaves_special_tokens_out() -> None:
    tokenizer = Tokenizer("t")
    assert tokenizer.decode([*tokenizer.encode("ab"), tokenizer.end]) == "ab"


def test_a_file_that_is_no_model() -> None:
    with pytest.raises(InputError, match="bad is no sentencepiece model: INTERNAL: could not parse ModelProto"):
        Tokenizer("bad")


def test_the_vocabulary_of_another_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Processor, "known", {"<_end>": 2})
    with pytest.raises(InputError, match="t has no token <_user> <_bot>: it is not TeleChat2's vocabulary"):
        Tokenizer("t")
