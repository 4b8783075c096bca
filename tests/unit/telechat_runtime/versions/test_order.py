# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import itertools
from typing import List

import pytest

from telechat_runtime.ascend.version import ascend_key
from telechat_runtime.versions.order import covers, in_ranges, is_patch_of, lowest_key, package_key


@pytest.mark.parametrize(
    "versions",
    [
        ["1.4.0.dev1", "1.4.0a1", "1.4.0.beta1", "1.4.0rc1", "1.4.0", "1.4.10"],
        ["2.6.0-rc1", "2.6.0", "2.7.0", "2.7.1.post1", "2.10.0"],
    ],
)
def test_packages_in_the_order_they_came_out(versions: List[str]) -> None:
    for older, newer in itertools.combinations(versions, 2):
        assert package_key(older) < package_key(newer)


def test_spellings_of_one_package_version() -> None:
    assert len({package_key(text) for text in ("2.6.0rc1", "2.6.0-rc1", "2.6.0.RC1", " v2.6rc1 ")}) == 1
    assert package_key("2.7.1.post1") == package_key("2.7.1+cpu") == package_key("2.7.1")


@pytest.mark.parametrize("text", ["", "NA", "r1.3.0", "2..7", "2.7.0 (dirty)"])
def test_what_is_no_package_version_is_named(text: str) -> None:
    with pytest.raises(ValueError, match="is no version of a Python package"):
        package_key(text)


@pytest.mark.parametrize(
    ("version", "base", "is_patch"),
    [
        ("25.0.rc1.1", "25.0.rc1", True),
        ("25.0.RC1_sph001", "25.0.rc1", True),
        ("24.1.0.b062", "24.1.0", True),
        ("24.1.0.3", "24.1.0", True),
        ("24.1.0", "24.1.0.3", False),
        ("8.1.RC1.alpha001", "8.1.RC1", False),
        ("25.0.rc1", "25.0.rc1.1", False),
        ("25.0.rc2", "25.0.rc1", False),
        ("25.0.0", "25.0.rc1", False),
        ("24.1.1", "24.1.0", False),
    ],
)
def test_patches(version: str, base: str, is_patch: bool) -> None:
    assert is_patch_of(version, base) is is_patch


@pytest.mark.parametrize(
    ("entry", "version", "covered"),
    [
        ("25.5.x", "25.5.0", True),
        ("25.5.x", "25.5.2", True),
        ("25.0.x", "25.0.rc1.1", True),
        ("9.0.x", "9.0.0", True),
        ("9.0.x", "9.0.0-beta.1", False),
        ("25.5.x", "25.2.3", False),
        ("25.0.rc1", "25.0.rc1.1", True),
        ("25.5.0", "25.5.1", False),
    ],
)
def test_entries_of_the_matrix(entry: str, version: str, covered: bool) -> None:
    assert covers(entry, version) is covered


@pytest.mark.parametrize("entry", ["25.0.x", "25.0.rc1", "9.0.x"])
@pytest.mark.parametrize("version", ["25.0.rc1", "25.0.rc1.1", "25.0.0", "25.0.3", "9.0.0", "9.0.2", "24.1.0"])
def test_no_covered_version_is_below_its_entry(entry: str, version: str) -> None:
    assert not covers(entry, version) or lowest_key(entry) <= ascend_key(version)


@pytest.mark.parametrize(
    ("version", "ranges", "inside"),
    [
        ("7.5.0.1.129", "[7.0.0,7.5.99]", True),
        ("7.7.0.1.231", "[7.0.0,7.5.99]", False),
        ("7.7.0.1.231", "[6.4.0,6.4.99],[7.0.0,7.7.99]", True),
        ("6.9", "[6.4.0,6.4.99],[7.0.0,7.7.99]", False),
        ("24.1.rc3", "[24.0,24.0.],[24.1,24.1.]", True),
        ("25.0.rc1", "[24.0,24.0.],[24.1,24.1.]", False),
        ("23.0.7", "[23.0.rc3,23.0.rc3.],[23.0.0,23.0.0.]", True),
        ("24.1.rc3", "", False),
    ],
)
def test_ranges_of_version_info(version: str, ranges: str, inside: bool) -> None:
    assert in_ranges(version, ranges) is inside
