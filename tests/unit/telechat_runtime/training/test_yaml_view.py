# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math
from typing import Any

import pytest

from telechat_runtime.errors import ConfigError
from telechat_runtime.training.yaml_view import YamlView

REFUSED = "refused"

# value, and what it is as a count, number, text and flag: the table of the module's docstring
MEANINGS = [
    (None, None, None, "", False),
    (True, REFUSED, REFUSED, REFUSED, True),
    (False, REFUSED, REFUSED, "", False),
    (0, None, 0.0, "0", False),
    (7, 7, 7.0, "7", True),
    (-1, REFUSED, -1.0, "-1", True),
    (1.5, REFUSED, 1.5, "1.5", True),
    (math.nan, REFUSED, REFUSED, "nan", True),
    ("many", REFUSED, REFUSED, "many", REFUSED),
    ("8", REFUSED, REFUSED, "8", REFUSED),
    ("", REFUSED, REFUSED, "", False),
    ([1], REFUSED, REFUSED, REFUSED, REFUSED),
    ({"a": 1}, REFUSED, REFUSED, REFUSED, REFUSED),
]
KINDS = ("count", "number", "text", "flag")


def read(kind: str, view: YamlView, key: str) -> Any:
    try:
        return getattr(view, kind)(key)
    except ConfigError:
        return REFUSED


@pytest.mark.parametrize("meaning", MEANINGS, ids=[repr(value) for value, *_ in MEANINGS])
def test_each_value_has_one_meaning_for_each_kind(meaning: Any) -> None:
    value, *expected = meaning
    view = YamlView({"section": {"key": value}})
    assert [read(kind, view.section("section"), "key") for kind in KINDS] == expected
    assert [read(kind, view, "section.key") for kind in KINDS] == expected


def test_an_absent_key_is_as_a_null() -> None:
    assert [read(kind, YamlView({}), "a.b") for kind in KINDS] == [None, None, "", False]


def test_a_refusal_names_the_whole_key_and_the_value() -> None:
    view = YamlView({"model": {"model_config": {"seq_length": "8k"}}}).section("model").section("model_config")
    with pytest.raises(ConfigError) as caught:
        view.count("seq_length")
    assert caught.value.message == "model.model_config.seq_length is '8k', but has to be a whole number of at least 0"
    assert caught.value.exit_code == 3


@pytest.mark.parametrize("value", [None, True, 0, 7, "text", [1], {}])
def test_what_is_no_mapping_is_an_empty_section(value: Any) -> None:
    section = YamlView({"a": {"b": value}}).section("a.b")
    assert not section
    assert "c" not in section
    assert section.get("c.d") is None
