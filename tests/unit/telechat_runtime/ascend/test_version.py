# SPDX-License-Identifier: Apache-2.0

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telechat_runtime.ascend.version import alike, ascend_key, is_older, is_preview, same_version

IN_ORDER = [
    "23.0.rc3",
    "23.0.3",
    "23.0.7",
    "24.1.rc2",
    "24.1.rc3",
    "24.1.0",
    "25.0.rc1",
    "25.0.rc1.1",
    "25.0.0",
    "25.2.0",
]
CANN_IN_ORDER = [
    "8.0.RC3",
    "8.0.T6",
    "8.0.0",
    "8.1.RC1.alpha001",
    "8.1.RC1.alpha002",
    "8.1.RC1",
    "8.5.0.alpha001",
    "8.5.0",
    "9.0.0-beta.1",
    "9.0.0-beta.2",
    "9.0.0",
]
FIRMWARE_IN_ORDER = ["6.4.12.1.241", "7.1.0.5.220", "7.1.0.11.220", "7.5.0.1.129", "7.5.0.2.220", "7.7.0.1.231"]


@pytest.mark.parametrize("versions", [IN_ORDER, FIRMWARE_IN_ORDER, CANN_IN_ORDER])
def test_versions_in_the_order_they_came_out(versions):
    for older, newer in itertools.combinations(versions, 2):
        assert is_older(older, newer)
        assert not is_older(newer, older)


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("24.1.rc3", "24.1.RC3"),
        ("24.1.0", "24.1"),
        ("24.1.0.b062", "24.1.0"),
        (" 25.0.rc1 ", "25.0.RC1"),
        ("9.0.0-beta.1", "9.0.0.beta1"),
        # The community edition of a release.
        ("8.0.RC2.beta1", "8.0.RC2"),
        ("8.0.0.beta1", "8.0.0"),
    ],
)
def test_spellings_of_one_version(left, right):
    assert same_version(left, right)


def test_a_patched_release_candidate_is_newer_than_the_plain_one():
    assert is_older("25.0.rc1", "25.0.rc1_sph001")
    assert is_older("25.0.rc1_sph001", "25.0.0")


@pytest.mark.parametrize("text", ["", "NA", "24..1", "24.1.gamma2", "24.1-rc3", "rc3", "b062", "-1.0"])
def test_what_is_no_version_is_named(text):
    with pytest.raises(ValueError, match="is no Ascend version"):
        ascend_key(text)


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("8.1.RC1.alpha001", True),
        ("9.0.0-beta.1", True),
        ("8.0.T6", True),
        ("8.0.RC2.beta1", False),
        ("8.1.RC1", False),
    ],
)
def test_previews(text, answer):
    assert is_preview(text) is answer


NUMBERS = st.lists(st.integers(0, 99), min_size=1, max_size=5)
VERSIONS = st.builds(
    lambda numbers, candidate, preview: ".".join([*map(str, numbers), *filter(None, (candidate, preview))]),
    NUMBERS,
    st.sampled_from(["", "rc1", "rc2", "rc3.1"]),
    st.sampled_from(["", "", "alpha001", "beta1", "t6"]),
)


@given(VERSIONS, VERSIONS, VERSIONS)
def test_order_is_total(left, middle, right):
    assert [is_older(left, right), same_version(left, right), is_older(right, left)].count(True) == 1
    if is_older(left, middle) and is_older(middle, right):
        assert is_older(left, right)


@given(VERSIONS)
def test_case_does_not_count(version):
    assert same_version(version, version.upper())


@pytest.mark.parametrize(
    ("left", "right", "answer"),
    [
        ("24.1.RC3", "24.1.rc3", True),
        ("24.1.rc3", "24.1.rc2", False),
        ("Custom", "custom", True),
        ("custom", "1", False),
    ],
)
def test_texts_that_are_no_versions_are_compared_as_they_are(left, right, answer):
    assert alike(left, right) is answer
