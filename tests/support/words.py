# SPDX-License-Identifier: Apache-2.0
"""A vocabulary small enough to be read in a failing test: each character of a text is one id, its code point."""

from __future__ import annotations

from typing import List

from telechat_runtime.node.programs.predict.tokens import SPECIAL_TOKENS
from telechat_runtime.preprocess.encoding import Vocabulary

FIRST_SPECIAL = 0x110000  # behind all code points
ID = {token: FIRST_SPECIAL + number for number, token in enumerate(SPECIAL_TOKENS)}
VOCABULARY = Vocabulary(special=ID, size=FIRST_SPECIAL + len(ID))
DUMMY_PREFIX = 0x2581


def encode(texts: List[str]) -> List[List[int]]:
    """Encode each text on its own, with the prefix that sentencepiece puts before each."""
    return [[DUMMY_PREFIX, *map(ord, text)] for text in texts]


def ids(text: str) -> List[int]:
    """Return the ids of one stretch of text."""
    return encode([text])[0]
