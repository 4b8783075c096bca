# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import dataclasses
from typing import Dict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telechat_runtime.versions.judge import Verdict, judge
from telechat_runtime.versions.matrix import Stack, Versions, load_matrix

MATRIX = load_matrix()
GUIDE = Versions(driver="23.0.3", firmware="7.1.0.5.220", cann="8.0.RC3", mindspore="2.4.0", mindformers="1.4.0.beta1")


def stack_versions(stack: Stack) -> Versions:
    firmware = next(row.firmware for row in MATRIX.hdk if row.driver == stack.driver)
    return Versions(
        driver=stack.driver,
        firmware=firmware,
        cann=stack.cann,
        mindspore=stack.mindspore[0],
        mindformers=stack.mindformers[0],
    )


@pytest.mark.parametrize("stack", MATRIX.stacks, ids=lambda stack: stack.mindformers[0])
def test_every_row_is_on_the_matrix(stack: Stack) -> None:
    judgement = judge(stack_versions(stack), MATRIX)
    assert (judgement.verdict, judgement.reasons, judgement.costs) == (Verdict.ON, (), ())


@given(st.sampled_from(MATRIX.stacks), st.sets(st.sampled_from([field.name for field in dataclasses.fields(Versions)])))
def test_a_row_seen_in_part_is_never_worse_than_on(stack: Stack, unseen: set[str]) -> None:
    versions = dataclasses.replace(stack_versions(stack), **dict.fromkeys(unseen))
    assert judge(versions, MATRIX).verdict in (Verdict.ON, Verdict.UNKNOWN)


def test_the_guides_own_combination_works_and_says_what_it_costs() -> None:
    judgement = judge(GUIDE, MATRIX)
    assert judgement.verdict is Verdict.OFF
    (reason,) = judgement.reasons
    assert reason.startswith("driver 23.0.3 is older than 24.1.rc3, for which CANN 8.0.RC3 was made")
    assert "the combination of TeleChat2's guide" in reason
    (cost,) = judgement.costs
    assert cost.startswith("driver 23.0.3 is older than 24.0.0: ")
    assert "VMM" in cost


BAD: Dict[str, tuple[Versions, Verdict, str]] = {
    "a driver older than the window of its CANN": (
        Versions(driver="23.0.3", cann="8.2.RC1"),
        Verdict.BROKEN,
        "CANN 8.2.rc1 takes none older than 24.1.rc2",
    ),
    "a driver that an older CANN has left behind": (Versions(driver="23.0.7", cann="8.5.0"), Verdict.BROKEN, "too old"),
    "a newer driver than the CANN's": (Versions(driver="25.2.0", cann="8.0.rc3"), Verdict.OFF, "is not on its list"),
    "MindSpore stands for its CANN": (Versions(driver="23.0.3", mindspore="2.7.0"), Verdict.BROKEN, "too old"),
    "an older driver, no window stated": (Versions(driver="24.1.rc2", cann="8.0.0"), Verdict.OFF, "is older than"),
    "a driver that no MindSpore was made for": (
        Versions(driver="23.0.7"),
        Verdict.OFF,
        "no MindSpore release was made",
    ),
    "a CANN nobody knows": (Versions(driver="24.1.rc3", cann="7.0"), Verdict.OFF, "CANN 7.0: the matrix does not"),
    "a preview of a CANN": (
        Versions(driver="25.5.2", cann="9.0.0-beta.1"),
        Verdict.OFF,
        "CANN 9.0.0-beta.1: no source says which drivers this preview takes",
    ),
    "a driver that the next CANN has left behind": (
        Versions(driver="25.0.rc1", cann="9.1.0"),
        Verdict.BROKEN,
        "CANN 9.1.x takes none older than 25.2.x",
    ),
    "24.1 under CANN 8.5": (
        Versions(driver="24.1.0", cann="8.5.0"),
        Verdict.BROKEN,
        "CANN 8.5.x takes none older than 25.0.x",
    ),
    "the firmware of the patch before": (
        Versions(driver="25.5.2", firmware="7.8.0.6.201"),
        Verdict.OFF,
        "firmware 7.8.0.6.201 was not released with driver 25.5.2 (7.8.0.7.220 is)",
    ),
    "a firmware of another release": (
        Versions(driver="24.1.rc3", firmware="7.1.0.5.220"),
        Verdict.OFF,
        "firmware 7.1.0.5.220 was not released with driver 24.1.rc3 (7.5.0.1.129 is)",
    ),
    "a firmware outside the driver's range": (
        Versions(driver="24.1.rc3", firmware="7.7.0.1.231"),
        Verdict.OFF,
        "the driver's version.info accepts only [7.0.0,7.5.99]",
    ),
    "neither of the pair accepts the other": (
        Versions(driver="24.1.rc3", firmware="7.7.0.1.231", firmware_accepts="[25.0,25.0.]"),
        Verdict.BROKEN,
        "the firmware's version.info accepts only [25.0,25.0.]",
    ),
    "a firmware known by its release alone": (
        Versions(driver="24.1.rc3", firmware_release="23.0.3"),
        Verdict.OFF,
        "firmware of HDK 23.0.3 was not released with driver 24.1.rc3",
    ),
    "a firmware below the minimum": (Versions(driver="25.2.0", firmware="7.7.0.1.220"), Verdict.OFF, "not released"),
    "an unknown pair": (Versions(driver="31.0", firmware="9.1"), Verdict.OFF, "no HDK release with driver 31.0"),
    "MindSpore beside its CANN": (Versions(cann="8.2.RC1", mindspore="2.4.0"), Verdict.OFF, "built for CANN 8.0.rc3"),
    "a MindSpore nobody knows": (Versions(cann="8.2.RC1", mindspore="2.8.0"), Verdict.OFF, "no MindSpore 2.8.0"),
    "MindFormers beside its MindSpore": (
        Versions(mindspore="2.7.2", mindformers="1.6.0"),
        Verdict.OFF,
        "MindFormers 1.6.0 was made for MindSpore 2.7.0, found is 2.7.2",
    ),
    "MindFormers that can't be imported": (
        Versions(mindspore="2.9.0", mindformers="1.3.2"),
        Verdict.BROKEN,
        "MindFormers 1.3.2 does not run on MindSpore 2.9.0",
    ),
    "further apart than what can't be imported": (
        Versions(mindspore="2.10.0", mindformers="1.2.0"),
        Verdict.BROKEN,
        "does not run",
    ),
    "seen to work": (Versions(mindspore="2.7.0", mindformers="1.8.0"), Verdict.OFF, "it is known to work"),
    "the worst counts": (
        Versions(driver="24.1.rc3", cann="8.0.rc3", mindspore="2.9.0", mindformers="1.3.0"),
        Verdict.BROKEN,
        "built for CANN 9.0.0",
    ),
}


@pytest.mark.parametrize(("versions", "verdict", "words"), BAD.values(), ids=BAD)
def test_what_is_off_the_matrix(versions: Versions, verdict: Verdict, words: str) -> None:
    judgement = judge(versions, MATRIX)
    assert judgement.verdict is verdict
    assert words in "; ".join(judgement.reasons)


GOOD = {
    "the window of CANN 8.2": Versions(driver="24.1.rc3", cann="8.2.RC1", mindspore="2.7.0", mindformers="1.6.0"),
    "a patch of the row's driver": Versions(driver="25.0.rc1.1", firmware="7.7.0.1.231", cann="8.1.RC1"),
    "a patch of a final release": Versions(
        driver="24.1.0.3", firmware="7.5.0.2.220", cann="8.0.0", mindspore="2.4.10", mindformers="1.3.2"
    ),
    "24.1.0 on the 910B": Versions(driver="24.1.0", firmware="7.5.0.3.220", cann="8.0.0"),
    "a community edition of CANN": Versions(driver="24.1.rc2", firmware="7.3.0.1.231", cann="8.0.RC2.beta1"),
    "a later release of a line": Versions(driver="25.5.2", firmware="7.8.0.7.220", cann="8.5.0", mindspore="2.7.2"),
    "an older line of the window": Versions(driver="25.2.3", firmware="7.7.0.10.220", cann="8.5.1"),
    "a CANN newer than the row's": Versions(driver="25.5.1", firmware="7.8.0.6.201", cann="9.1.0"),
    "the firmware's own word": Versions(driver="25.5.0", firmware="7.9.9", firmware_release="25.5.0", cann="8.5.0"),
    "at least the minimum": Versions(driver="25.2.0", firmware="7.7.0.2.220", cann="8.2.RC1"),
    "other spellings": Versions(driver="24.1.RC3", cann="8.0.rc3", mindspore="2.4.0", mindformers="1.3.0"),
    "the release candidate of a row": Versions(mindspore="2.6.0rc1", mindformers="1.5.0"),
    "TeleChat2's tree": dataclasses.replace(GUIDE, driver="24.1.rc3", firmware="7.5.0.1.129"),
}


@pytest.mark.parametrize("versions", GOOD.values(), ids=GOOD)
def test_what_else_is_on_the_matrix(versions: Versions) -> None:
    assert judge(versions, MATRIX).verdict is Verdict.ON


def test_what_was_not_seen_is_said_and_not_judged() -> None:
    judgement = judge(Versions(firmware="7.5.0.1.129"), MATRIX)
    assert (judgement.verdict, judgement.reasons) == (Verdict.UNKNOWN, ())
    assert judgement.not_seen == ("driver", "CANN", "MindSpore", "MindFormers")


def test_a_text_that_is_no_version_counts_as_not_seen() -> None:
    judgement = judge(Versions(driver="NA", mindspore="2.7.2", mindformers="1.8.0"), MATRIX)
    assert judgement.verdict is Verdict.ON
    assert judgement.reasons == (
        "driver: 'NA' is no Ascend version: expected numbers and rc1, alpha001, sph001 or b062, joined by dots",
    )
    assert "driver" in judgement.not_seen


def test_on_a_cpu_only_mindspore_and_mindformers_count() -> None:
    versions = Versions(driver="23.0.3", firmware="1", cann="7.0", mindspore="2.7.2", mindformers="1.8.0")
    judgement = judge(versions, MATRIX, "CPU")
    assert (judgement.verdict, judgement.reasons, judgement.costs, judgement.not_seen) == (Verdict.ON, (), (), ())
    assert judge(dataclasses.replace(versions, mindspore=None), MATRIX, "CPU").not_seen == ("MindSpore",)
