# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import dataclasses
import itertools
from typing import Optional, Tuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telechat_runtime.versions.advice import smallest_change
from telechat_runtime.versions.judge import Verdict, judge
from telechat_runtime.versions.matrix import Versions, load_matrix

MATRIX = load_matrix()
GUIDE = Versions(driver="23.0.3", firmware="7.1.0.5.220", cann="8.0.RC3", mindspore="2.4.0", mindformers="1.4.0.beta1")
DRIVERS = [*(row.driver for row in MATRIX.hdk), "22.0.4", "24.1.0.3", "25.0.rc1_sph001", "99.1"]
FIRMWARES = [
    *(row.firmware for row in MATRIX.hdk if row.firmware),
    *(firmware for row in MATRIX.hdk for firmware in row.firmware_also),
    "1.0",
    "99.1",
]
CANNS = [*(row.cann for row in MATRIX.stacks), "7.0", "8.5.2", "9.0.0-beta.1", "99.1", "NA"]
MINDSPORES = [*(version for row in MATRIX.stacks for version in row.mindspore), "2.8.0", "1.0"]
MINDFORMERS = [*(version for row in MATRIX.stacks for version in row.mindformers), "1.0", "9.0"]


def maybe(values: list[str]) -> st.SearchStrategy[Optional[str]]:
    return st.none() | st.sampled_from(values)


ANY = st.builds(
    Versions,
    driver=maybe(DRIVERS),
    firmware=maybe(FIRMWARES),
    firmware_release=maybe(DRIVERS),
    cann=maybe(CANNS),
    mindspore=maybe(MINDSPORES),
    mindformers=maybe(MINDFORMERS),
)


@pytest.mark.parametrize(
    ("versions", "texts"),
    [
        (GUIDE, ("HDK 23.0.3 -> 24.1.rc3 (firmware 7.5.0.1.129)",)),
        (Versions(driver="23.0.3", firmware="7.1.0.5.220"), ("HDK 23.0.3 -> 24.1.rc2 (firmware 7.3.0.1.231)",)),
        (Versions(driver="24.1.rc3", firmware="7.1.0.5.220"), ("firmware 7.1.0.5.220 -> 7.5.0.1.129",)),
        (Versions(driver="26.0.rc1", firmware="7.1.0.5.220"), ("firmware 7.1.0.5.220 -> the one of HDK 26.0.rc1",)),
        (
            # CANN 8.5.0 was made for 25.5 and takes 25.0 as well.
            Versions(driver="24.1.rc3", cann="8.5.0", mindspore="2.7.2"),
            ("HDK 24.1.rc3 -> 25.0.rc1 (firmware 7.7.0.1.231)",),
        ),
        (Versions(mindspore="2.9.0", mindformers="1.3.0"), ("MindFormers 1.3.0 -> 1.9.0",)),
        (
            # Not an older HDK, which the chips' flash may refuse: the image can change.
            Versions(driver="25.2.0", cann="8.2.RC1", mindspore="2.4.0", mindformers="1.3.0"),
            ("MindSpore 2.4.0 -> 2.7.0", "MindFormers 1.3.0 -> 1.6.0"),
        ),
    ],
)
def test_the_smallest_change(versions: Versions, texts: Tuple[str, ...]) -> None:
    change = smallest_change(versions, MATRIX)
    assert change is not None
    assert change.texts == texts


def test_on_a_cpu_only_mindspore_and_mindformers_change() -> None:
    versions = Versions(driver="23.0.3", cann="7.0", mindspore="2.7.2", mindformers="1.7.0")
    change = smallest_change(versions, MATRIX, "CPU")
    assert change is not None
    assert change.texts == ("MindFormers 1.7.0 -> 1.8.0",)


@given(ANY, st.sampled_from(["Ascend", "CPU"]))
def test_after_the_change_the_versions_are_on_the_matrix_and_nothing_is_left_to_change(
    versions: Versions, device_target: str
) -> None:
    verdict = judge(versions, MATRIX, device_target).verdict
    change = smallest_change(versions, MATRIX, device_target)
    assert (change is None) == (verdict in (Verdict.ON, Verdict.UNKNOWN))
    if change:
        assert judge(change.after, MATRIX, device_target).verdict is Verdict.ON
        assert smallest_change(change.after, MATRIX, device_target) is None


@given(ANY)
def test_nothing_is_changed_that_was_not_seen(versions: Versions) -> None:
    change = smallest_change(versions, MATRIX)
    for component in ("driver", "cann", "mindspore", "mindformers"):
        if change and getattr(versions, component) is None:
            assert getattr(change.after, component) is None


@given(ANY)
def test_no_change_of_fewer_components_would_do(versions: Versions) -> None:
    change = smallest_change(versions, MATRIX)
    if change is None or len(change.texts) != 2:
        return
    singles = itertools.chain(
        ({"driver": row.driver, "firmware": row.firmware, "firmware_release": row.driver} for row in MATRIX.hdk),
        ({"cann": row.cann} for row in MATRIX.stacks),
        ({"mindspore": row.mindspore[0]} for row in MATRIX.stacks),
        ({"mindformers": row.mindformers[0]} for row in MATRIX.stacks),
    )
    for values in singles:
        if all(getattr(versions, name) is not None for name in values if not name.startswith("firmware")):
            after = dataclasses.replace(versions, **values)
            assert judge(after, MATRIX).verdict is not Verdict.ON
