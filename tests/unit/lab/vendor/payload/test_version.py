# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import pytest
from ascend import version
from hypothesis import given
from hypothesis import strategies as st

from lab.vendor.releases import RELEASES

ROOT = Path(__file__).parents[5]
NUMBERS = st.lists(st.integers(0, 99), min_size=3, max_size=5)


def test_releases_sort_as_they_came_out() -> None:
    order = ["23.0.rc3", "23.0.0", "23.0.3", "23.0.7", "24.1.rc3", "24.1.0", "25.0.rc1", "25.0.rc1.1", "25.2.0"]
    shuffled = order[5:] + order[:5]
    assert sorted(shuffled, key=version.key) == order


def test_case_does_not_count() -> None:
    assert version.key("25.0.RC1") == version.key("25.0.rc1")


@given(NUMBERS, NUMBERS)
def test_numbers_sort_by_value(one: list[int], other: list[int]) -> None:
    def text(numbers: list[int]) -> str:
        return ".".join(map(str, numbers))

    assert (version.key(text(one)) < version.key(text(other))) == (one < other)


@pytest.mark.parametrize(
    ("name", "ranges", "inside"),
    [
        ("7.1.0.5.220", "[7.0.0,7.1.99]", True),
        ("7.5.0.1.129", "[7.0.0,7.1.99]", False),
        ("6.4.12", "[6.4.0,6.4.99],[7.0.0,7.7.99]", True),
        ("24.1.3", "[23.0.0,23.0.0.],[24.1,24.1.]", True),
        ("24.2.0", "[24.1,24.1.]", False),
        ("7.1.0", "", False),
    ],
)
def test_ranges(name: str, ranges: str, inside: bool) -> None:
    assert version.in_ranges(name, ranges) is inside


def test_the_capability_map_in_the_package_has_the_numbers_that_the_flash_asks_for() -> None:
    text = (ROOT / "lab/vendor/payload/driver/script/version_cap.map").read_text()
    entries = dict(line.split(",")[::-1] for line in text.splitlines() if not line.startswith("#"))
    assert set(RELEASES) < set(entries)
    assert entries == {release: str(version.base_number(release)) for release in entries}
