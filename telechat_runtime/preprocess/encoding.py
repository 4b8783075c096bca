# SPDX-License-Identifier: Apache-2.0
"""Records as token ids: the texts of a whole chunk go through sentencepiece in one call."""

from __future__ import annotations

import re
from array import array
from dataclasses import dataclass, field
from typing import Any, Callable, Dict, List, Mapping, Sequence, Tuple

from telechat_runtime.errors import DataError
from telechat_runtime.node.programs.predict.tokens import SPECIAL_TOKENS
from telechat_runtime.preprocess.records import REQUIRED_TOKENS, MalformedError, Piece, Shape, parse_record

Encode = Callable[[List[str]], List[List[int]]]

_SPECIAL = re.compile("(" + "|".join(map(re.escape, SPECIAL_TOKENS)) + ")")
_KNOWN_TEXTS = 4096
_KNOWN_LENGTH = 4096


@dataclass(frozen=True)
class Vocabulary:
    """What a tokenizer's model says of itself: the ids of the special tokens it has, and how many ids there are."""

    special: Mapping[str, int]
    size: int

    def check(self, shape: Shape) -> None:
        """Raise DataError when a special token is missing without which records of this shape can't be written."""
        missing = [token for token in REQUIRED_TOKENS[shape] if token not in self.special]
        if missing:
            raise DataError(
                f"the tokenizer has no {', '.join(missing)}: it is not TeleChat2's",
                next_step="give --tokenizer the tokenizer.model that came with the model's weights",
            )


@dataclass
class Encoded:
    """The records of a chunk one behind the other: ids, and the stretches of them that are learned.

    For each record, in order: `lengths` (ids), `starts` (<_start> tokens its row gets for it), `spans` (learned
    stretches). `begins` and `ends` are the stretches, counted from the record's first id. A malformed record has length
    0, and its reason in `malformed`.
    """

    ids: array[int] = field(default_factory=lambda: array("i"))
    lengths: array[int] = field(default_factory=lambda: array("I"))
    starts: array[int] = field(default_factory=lambda: array("I"))
    spans: array[int] = field(default_factory=lambda: array("I"))
    begins: array[int] = field(default_factory=lambda: array("I"))
    ends: array[int] = field(default_factory=lambda: array("I"))
    malformed: Dict[int, str] = field(default_factory=dict)


def load_tokenizer(path: str) -> Tuple[Vocabulary, Encode]:
    """Return what a sentencepiece model knows, and its encoder for lists of texts.

    Raises:
        DataError: The file is no sentencepiece model.

    """
    import sentencepiece  # noqa: PLC0415 - only machines that preprocess have it

    processor: Any = sentencepiece.SentencePieceProcessor()
    try:
        processor.Load(path)
    except (RuntimeError, OSError) as error:
        raise DataError(
            f"{path} is no sentencepiece model", next_step="give --tokenizer the model's tokenizer.model"
        ) from error
    ids = {token: processor.piece_to_id(token) for token in SPECIAL_TOKENS}
    # A token that the model lacks gets the id of the unknown one.
    special = {token: number for token, number in ids.items() if processor.id_to_piece(number) == token}
    return Vocabulary(special=special, size=processor.get_piece_size()), processor.encode


class Encoder:
    """Makes ids of lines; remembers the ids of short texts that come again, such as system prompts."""

    def __init__(self, vocabulary: Vocabulary, encode: Encode, shape: Shape) -> None:
        self._special = vocabulary.special
        self._encode = encode
        self._shape = shape
        self._known: Dict[str, List[int]] = {}

    def chunk(self, lines: Sequence[bytes]) -> Encoded:
        """Return the records of these lines, in their order."""
        records: List[Sequence[Piece]] = []
        done = Encoded()
        for number, line in enumerate(lines):
            try:
                record = parse_record(line, self._shape)
            except MalformedError as error:
                done.malformed[number] = str(error)
                records.append(())
                done.starts.append(0)
            else:
                records.append(record.pieces)
                done.starts.append(record.starts)
        ids = self._ids_of({text for pieces in records for text, _ in pieces})
        for pieces in records:
            _append(done, pieces, ids)
        return done

    def _ids_of(self, texts: set[str]) -> Dict[str, List[int]]:
        """Return the ids of each text: a special token is its one id, each stretch between two is encoded apart."""
        found: Dict[str, List[int]] = {}
        stretches: Dict[str, List[str]] = {}
        for text in texts:
            known = self._known.get(text)
            if known is not None:
                found[text] = known
            else:
                stretches[text] = self._split(text)
        unique = list({part for parts in stretches.values() for part in parts if part not in self._special})
        encoded = dict(zip(unique, self._encode(unique))) if unique else {}
        for text, parts in stretches.items():
            found[text] = [number for part in parts for number in self._of_part(part, encoded)]
        self._remember(stretches, found)
        return found

    def _split(self, text: str) -> List[str]:
        if "<" not in text:
            return [text] if text else []
        parts: List[str] = []
        stretch = ""
        for part in _SPECIAL.split(text):
            if part in self._special:
                parts += (stretch, part) if stretch else (part,)
                stretch = ""
            else:
                # A special token that this vocabulary lacks is text like the text around it.
                stretch += part
        return [*parts, stretch] if stretch else parts

    def _of_part(self, part: str, encoded: Mapping[str, List[int]]) -> List[int]:
        return [self._special[part]] if part in self._special else encoded[part]

    def _remember(self, fresh: Mapping[str, List[str]], found: Mapping[str, List[int]]) -> None:
        if len(self._known) >= _KNOWN_TEXTS:
            self._known.clear()
        for text in fresh:
            if len(text) <= _KNOWN_LENGTH and len(self._known) < _KNOWN_TEXTS:
                self._known[text] = found[text]


def _append(done: Encoded, pieces: Sequence[Piece], ids: Mapping[str, List[int]]) -> None:
    first, spans, inside = len(done.ids), 0, False
    for text, learned in pieces:
        own = ids[text]
        begin = len(done.ids) - first
        done.ids.fromlist(own)
        if not learned or not own:
            inside = inside and learned
            continue
        if inside:
            done.ends[-1] = begin + len(own)
        else:
            done.begins.append(begin)
            done.ends.append(begin + len(own))
            spans += 1
        inside = True
    done.lengths.append(len(done.ids) - first)
    done.spans.append(spans)
