# SPDX-License-Identifier: Apache-2.0
"""Walks messages in protobuf's wire format without reading what it does not need.

MindSpore's own reader wants a file in memory as a whole; a checkpoint has up to hundreds of gigabytes, and its names
and shapes are a few kilobytes of them.
"""

from __future__ import annotations

import os
from typing import BinaryIO, Iterator, List, NamedTuple, Union

_VARINT = 0
_FIXED64 = 1
_BYTES = 2
_FIXED32 = 5
_FIXED_SIZES = {_FIXED64: 8, _FIXED32: 4}
_MAX_VARINT_BYTES = 10
_INT64_SIGN = 1 << 63


class WireError(ValueError):
    """The bytes are no protobuf message, or end in the middle of one."""


class Span(NamedTuple):
    """Where a message, a text or raw bytes stand in the file: from `start` up to, not including, `end`."""

    start: int
    end: int


class Field(NamedTuple):
    """One field of a message: its number, and a whole number or where its bytes stand."""

    number: int
    value: Union[int, Span]

    @property
    def span(self) -> Span:
        """Where the bytes stand. Raises WireError for a number."""
        if not isinstance(self.value, Span):
            raise WireError(f"field {self.number} holds a number where a message is expected")
        return self.value


class WireFile:
    """A file of protobuf messages, opened for reading in binary mode."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.size = file.seek(0, os.SEEK_END)

    def fields(self, span: Span) -> Iterator[Field]:
        """Yield the fields of the message that stands in `span`; bytes are skipped. Raises WireError."""
        position = span.start
        while position < span.end:
            self._file.seek(position)
            key = self._varint(span.end)
            number, kind = key >> 3, key & 7
            value: Union[int, Span]
            if kind == _VARINT:
                value = self._varint(span.end)
                position = self._file.tell()
            elif kind in _FIXED_SIZES:
                value = Span(self._file.tell(), self._file.tell() + _FIXED_SIZES[kind])
                position = value.end
            elif kind == _BYTES:
                length = self._varint(span.end)
                value = Span(self._file.tell(), self._file.tell() + length)
                position = value.end
            else:
                raise WireError(f"no protobuf field at byte {position}")
            if number == 0 or position > span.end:
                raise WireError(f"the field at byte {position} reaches over the end at byte {span.end}")
            yield Field(number, value)

    def bytes(self, span: Span) -> bytes:
        """Return the bytes of a span. Raises WireError when the file ends before."""
        self._file.seek(span.start)
        found = self._file.read(span.end - span.start)
        if len(found) != span.end - span.start:
            raise WireError(f"the file ends before byte {span.end}")
        return found

    def text(self, span: Span) -> str:
        """Return a text field. Raises WireError for bytes that are no UTF-8."""
        try:
            return self.bytes(span).decode("utf-8")
        except UnicodeDecodeError as error:
            raise WireError(f"no text at byte {span.start}") from error

    def numbers(self, field: Field) -> List[int]:
        """Return the numbers of a repeated field, packed or not, read as signed 64 bits."""
        if isinstance(field.value, int):
            return [_signed(field.value)]
        numbers = []
        self._file.seek(field.value.start)
        while self._file.tell() < field.value.end:
            numbers.append(_signed(self._varint(field.value.end)))
        return numbers

    def _varint(self, end: int) -> int:
        value = 0
        for index in range(_MAX_VARINT_BYTES):
            byte = self._file.read(1)
            if not byte or self._file.tell() > end:
                raise WireError(f"a number reaches over the end at byte {end}")
            value |= (byte[0] & 0x7F) << (7 * index)
            if not byte[0] & 0x80:
                return value
        raise WireError(f"no number before byte {self._file.tell()}")


def _signed(value: int) -> int:
    return value - (1 << 64) if value >= _INT64_SIGN else value
