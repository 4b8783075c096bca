# SPDX-License-Identifier: Apache-2.0
"""TeleChat2's tokenizer: sentencepiece, and special tokens that no text can be mistaken for."""

from __future__ import annotations

import re
from typing import Any, List, Sequence

from telechat_runtime.node.programs.predict import InputError

END, USER, BOT, SYSTEM = "<_end>", "<_user>", "<_bot>", "<_system>"
# The ten that the tree's TelechatTokenizer adds to its vocabulary.
SPECIAL_TOKENS = (
    "<_start>",
    END,
    "<_pad>",
    USER,
    BOT,
    SYSTEM,
    "<tool_call>",
    "</tool_call>",
    "<tool_response>",
    "</tool_response>",
)
_SPECIAL = re.compile("({})".format("|".join(map(re.escape, SPECIAL_TOKENS))))


class Tokenizer:
    """A sentencepiece model; a text is cut at special tokens, and each stretch between them encoded on its own."""

    def __init__(self, path: str) -> None:
        """Load the model. Raises InputError for a file that is none, or has no <_user>, <_bot> and <_end>."""
        try:
            import sentencepiece  # noqa: PLC0415 - comes with MindFormers
        except ModuleNotFoundError as error:
            raise InputError("sentencepiece is missing; it comes with MindFormers") from error
        try:
            self._model: Any = sentencepiece.SentencePieceProcessor(model_file=path)
        except (OSError, RuntimeError) as error:
            raise InputError(f"{path} is no sentencepiece model: {' '.join(str(error).split())}") from error
        missing = [token for token in (END, USER, BOT) if self._id(token) == self._model.unk_id()]
        if missing:
            raise InputError(f"{path} has no token {' '.join(missing)}: it is not TeleChat2's vocabulary")
        self.end = self._id(END)
        self._special = {self._id(token) for token in SPECIAL_TOKENS} - {self._model.unk_id()}

    def encode(self, text: str) -> List[int]:
        """Return the ids of a text in which special tokens may stand."""
        ids: List[int] = []
        for piece in filter(None, _SPECIAL.split(text)):
            ids += [self._id(piece)] if piece in SPECIAL_TOKENS else self._model.encode(piece)
        return ids

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of what was generated, without special tokens."""
        text: str = self._model.decode([int(token) for token in ids if int(token) not in self._special])
        return text

    def _id(self, token: str) -> int:
        number: int = self._model.piece_to_id(token)
        return number
