# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from telechat_runtime.errors import SpecError
from telechat_runtime.job.options import JobOptions, Override, parse_override, parse_variable


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a.b=1", Override(key="a.b", value="1")),
        ("a=b=c", Override(key="a", value="b=c")),
        ("a=", Override(key="a", value="")),
        ("+a.b=1", Override(key="a.b", value="1", add=True)),
    ],
)
def test_an_override(text: str, expected: Override) -> None:
    assert parse_override(text) == expected


@pytest.mark.parametrize("text", ["", "a", "=1", "a..b=1", ".a=1", "+=1"])
def test_what_is_no_override(text: str) -> None:
    with pytest.raises(SpecError, match="has no key=value form"):
        parse_override(text)


@pytest.mark.parametrize("name", ["", "Big", "a b", "-a", "a" * 33, "a/b"])
def test_what_is_no_job_name(name: str) -> None:
    with pytest.raises(SpecError, match="--job-name"):
        JobOptions(job_name=name)


def test_a_variable() -> None:
    assert parse_variable("A_1=b=c d") == ("A_1", "b=c d")
    assert parse_variable("A=") == ("A", "")


@pytest.mark.parametrize("text", ["", "A", "=b", "1A=b", "A-B=c"])
def test_what_is_no_variable(text: str) -> None:
    with pytest.raises(SpecError, match="has no NAME=VALUE form"):
        parse_variable(text)


def test_a_message_about_a_variable_does_not_show_its_value() -> None:
    with pytest.raises(SpecError) as caught:
        parse_variable("OBS-TOKEN=s3cret")
    assert "s3cret" not in str(caught.value)
