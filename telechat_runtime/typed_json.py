# SPDX-License-Identifier: Apache-2.0
"""Reads JSON documents into frozen dataclasses: each field is checked by its annotation, nested ones too.

A field with a default may be left out; fields that the class does not name are passed over, as a newer writer may have
more. Annotations may be bool, int, float, str, an enum, a dataclass, Any, Optional, Tuple and Mapping (by str or int).
"""

from __future__ import annotations

import dataclasses
import enum
import functools
import typing
from collections.abc import Mapping as AbstractMapping
from typing import Any, Callable, Dict, Mapping, Tuple, Type, TypeVar

T = TypeVar("T")
_READER = "typed_json.reader"
_WHOLE = "typed_json.whole"
WHOLE_DOCUMENT: Mapping[str, Any] = {_WHOLE: True}
"""Metadata of a field that takes the JSON object itself, with all that the class does not name."""
_SHOWN = 60
_NAMES = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}


class DocumentError(ValueError):
    """A document lacks a field, or a field has a value of a wrong type; the text goes on after the document's name."""


def parse(cls: Type[T], document: Any) -> T:
    """Return the document as an instance of the dataclass. Raises DocumentError that names the first wrong field."""
    return typing.cast("T", _object(cls, document, ""))


def read_by(reader: Callable[[Any], Any]) -> Mapping[str, Any]:
    """Return the metadata of a field whose value `reader` makes of the JSON value; it may raise DocumentError."""
    return {_READER: reader}


def read_whole_by(reader: Callable[[Mapping[str, Any]], Any]) -> Mapping[str, Any]:
    """Return the metadata of a field that `reader` makes of the whole JSON object; it may raise DocumentError."""
    return {_READER: reader, _WHOLE: True}


def _object(cls: Type[Any], value: Any, where: str) -> Any:
    if not isinstance(value, dict):
        raise DocumentError(f"{where or 'it'} is {_kind(value)}, not an object")
    hints = _hints(typing.cast("typing.Hashable", cls))
    values: Dict[str, Any] = {}
    for field in dataclasses.fields(cls):
        path = f"{where}.{field.name}" if where else field.name
        reader = field.metadata.get(_READER)
        if field.metadata.get(_WHOLE):
            values[field.name] = reader(value) if reader else value
        elif field.name in value:
            found = value[field.name]
            values[field.name] = _read_by(reader, found, path) if reader else _value(hints[field.name], found, path)
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise DocumentError(f"{where or 'it'} lacks {field.name}")
    return cls(**values)


@functools.lru_cache(maxsize=None)  # noqa: UP033
def _hints(cls: Any) -> Dict[str, Any]:
    return typing.get_type_hints(cls)


def _read_by(reader: Callable[[Any], Any], value: Any, path: str) -> Any:
    try:
        return reader(value)
    except DocumentError as error:
        raise DocumentError(f"in {path} {error}") from error


def _value(hint: Any, value: Any, path: str) -> Any:
    if hint is Any:
        return value
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Union:
        (inner,) = (argument for argument in arguments if argument is not type(None))
        return None if value is None else _value(inner, value, path)
    if origin is tuple:
        return _tuple(arguments, value, path)
    if origin is AbstractMapping:
        return _mapping(arguments, value, path)
    if dataclasses.is_dataclass(hint):
        return _object(typing.cast("Type[Any]", hint), value, path)
    return _scalar(hint, value, path)


def _tuple(arguments: Tuple[Any, ...], value: Any, path: str) -> Tuple[Any, ...]:
    if not isinstance(value, list):
        raise DocumentError(f"{path} is {_kind(value)}, not a list")
    hints = arguments if arguments[-1] is not ... else (arguments[0],) * len(value)
    if len(hints) != len(value):
        raise DocumentError(f"{path} has {len(value)} items, not {len(hints)}")
    return tuple(_value(hint, item, f"{path}[{index}]") for index, (hint, item) in enumerate(zip(hints, value)))


def _mapping(arguments: Tuple[Any, ...], value: Any, path: str) -> Mapping[Any, Any]:
    if not isinstance(value, dict):
        raise DocumentError(f"{path} is {_kind(value)}, not an object")
    key_hint, hint = arguments
    return {_key(key_hint, key, path): _value(hint, item, f"{path}.{key}") for key, item in value.items()}


def _key(hint: Any, key: str, path: str) -> Any:
    if hint is str:
        return key
    if not key.isdecimal() or not key.isascii():
        raise DocumentError(f"{path} has the key {_shown(key)}, not a whole number")
    return int(key)


def _scalar(hint: Any, value: Any, path: str) -> Any:
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        try:
            return hint(value)
        except ValueError as error:
            known = ", ".join(str(member.value) for member in hint)
            found = _shown(value) if isinstance(value, str) else _kind(value)
            raise DocumentError(f"{path} is {found}, not one of {known}") from error
    kinds = (int, float) if hint is float else (hint,)
    # A bool is an int to Python, and nothing of that kind to whoever wrote the document.
    if not isinstance(value, kinds) or (isinstance(value, bool) and hint is not bool):
        raise DocumentError(f"{path} is {_kind(value)}, not {_NAMES[hint]}")
    if hint is not float:
        return value
    try:
        return float(value)
    except OverflowError as error:
        raise DocumentError(f"{path} is too large a number") from error


def _kind(value: Any) -> str:
    """Name what a value is, never the value: it may be long, or a secret."""
    return {dict: "an object", list: "a list", type(None): "null", **_NAMES}[type(value)]


def _shown(text: Any) -> str:
    shown = repr(text)
    return shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}…"
