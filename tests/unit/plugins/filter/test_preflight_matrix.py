# SPDX-License-Identifier: Apache-2.0

import pytest

from plugins.filter.preflight_matrix import preflight_matrix

MATRIX = {"cann": "8.0.rc3", "mindspore": "2.4.0", "mindformers": "1.3.0"}
NOTHING = {"problems": [], "cautions": []}


def packages(driver, firmware, *architectures):
    pair = {"driver": {"version": driver}, "firmware": {"version": firmware}}
    return dict.fromkeys(architectures or ("aarch64",), pair)


@pytest.mark.parametrize("stack", [{}, MATRIX])
def test_a_release_on_the_matrix_is_nothing_to_speak_of(stack):
    assert preflight_matrix(packages("24.1.rc3", "7.5.0.1.129"), stack, "refuse") == NOTHING


def test_without_packages_there_is_nothing_to_judge():
    assert preflight_matrix({}, MATRIX, "refuse") == NOTHING


def test_the_guide_s_own_pair_is_a_caution_once_for_both_architectures():
    found = preflight_matrix(packages("23.0.3", "7.1.0.5.220", "aarch64", "x86_64"), MATRIX, "warn")
    (caution,) = found["cautions"]
    assert found["problems"] == []
    assert (caution["check"], caution["rule"]) == ("version_matrix", "it works, but is not recommended")
    assert "24.1.rc3" in caution["next_step"].lower()


def test_off_the_matrix_is_refused_where_the_site_wants_it():
    found = preflight_matrix(packages("23.0.3", "7.1.0.5.220"), MATRIX, "refuse")
    assert found["cautions"] == []
    assert [problem["rule"] for problem in found["problems"]] == ["preflight_off_matrix: refuse"]


def test_broken_is_refused_in_any_case():
    stack = {"cann": "8.2.rc1", "mindspore": "2.7.0", "mindformers": "1.6.0"}
    (problem,) = preflight_matrix(packages("23.0.3", "7.1.0.5.220"), stack, "warn")["problems"]
    assert "too old for CANN" in problem["value"]
    assert problem["rule"] == "it does not work"
    assert problem["next_step"]
