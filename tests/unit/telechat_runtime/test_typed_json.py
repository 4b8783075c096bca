# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import Any, Mapping, Optional, Tuple

import pytest

from telechat_runtime.typed_json import WHOLE_DOCUMENT, DocumentError, parse, read_by


class Colour(str, enum.Enum):
    RED = "red"
    BLUE = "blue"


@dataclass(frozen=True)
class Inner:
    name: str
    share: float = 1.0


def doubled(value: Any) -> int:
    if not isinstance(value, int):
        raise DocumentError("it is not a number to double")
    return 2 * value


@dataclass(frozen=True)
class Outer:
    count: int
    good: bool
    colour: Colour
    maybe: Optional[str]
    inner: Inner
    many: Tuple[Inner, ...]
    pair: Tuple[str, int]
    by_rank: Mapping[int, str]
    anything: Any
    twice: int = field(metadata=read_by(doubled))
    later: str = "default"
    document: Mapping[str, Any] = field(default_factory=dict, metadata=WHOLE_DOCUMENT, repr=False, compare=False)


GOOD = {
    "count": 3,
    "good": True,
    "colour": "red",
    "maybe": None,
    "inner": {"name": "a", "share": 2},
    "many": [{"name": "b"}],
    "pair": ["c", 4],
    "by_rank": {"7": "x"},
    "anything": [1],
    "twice": 2,
    "of the future": {},
}


def test_every_kind_of_field() -> None:
    found = parse(Outer, GOOD)
    assert found == Outer(
        count=3,
        good=True,
        colour=Colour.RED,
        maybe=None,
        inner=Inner("a", 2.0),
        many=(Inner("b"),),
        pair=("c", 4),
        by_rank={7: "x"},
        anything=[1],
        twice=4,
    )
    assert found.document is GOOD


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"count": ...}, "it lacks count"),
        ({"count": True}, "count is true or false, not a whole number"),
        ({"count": 1.0}, "count is a number, not a whole number"),
        ({"good": 1}, "good is a whole number, not true or false"),
        ({"colour": "green"}, "colour is 'green', not one of red, blue"),
        ({"colour": []}, "colour is a list, not one of red, blue"),
        ({"maybe": 1}, "maybe is a whole number, not a text"),
        ({"inner": None}, "inner is null, not an object"),
        ({"inner": {"share": 1}}, "inner lacks name"),
        ({"inner": {"name": "a", "share": 10**400}}, "inner.share is too large a number"),
        ({"many": {}}, "many is an object, not a list"),
        ({"many": [{"name": "b"}, {"name": 2}]}, r"many\[1\].name is a whole number, not a text"),
        ({"pair": ["c"]}, "pair has 1 items, not 2"),
        ({"by_rank": {"x": "y"}}, "by_rank has the key 'x', not a whole number"),
        ({"by_rank": {"1": None}}, "by_rank.1 is null, not a text"),
        ({"twice": "2"}, "in twice it is not a number to double"),
    ],
)
def test_what_is_wrong_is_named(changes: Mapping[str, Any], message: str) -> None:
    document = {name: value for name, value in {**GOOD, **changes}.items() if value is not ...}
    with pytest.raises(DocumentError, match=f"^{message}$"):
        parse(Outer, document)


def test_a_value_that_may_be_a_secret_is_not_shown() -> None:
    with pytest.raises(DocumentError) as caught:
        parse(Outer, {**GOOD, "count": "hunter2"})
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("document", [None, [], "x", 7])
def test_what_is_no_object(document: Any) -> None:
    with pytest.raises(DocumentError, match=r"^it is .*, not an object$"):
        parse(Outer, document)
