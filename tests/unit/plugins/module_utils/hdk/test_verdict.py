# SPDX-License-Identifier: Apache-2.0

import dataclasses

import pytest
from ansible.module_utils.hdk.state import UNKNOWN
from ansible.module_utils.hdk.verdict import hdk_problems

from tests.unit.plugins.module_utils.hdk.server_model import Server
from tests.unit.plugins.module_utils.hdk.test_plan import NEW, OLD, running, wish


def facts_with(chip_changes, server=None):
    """Facts of a server at the wish, its chip 1 changed."""
    facts = (server or running(*NEW)).facts()
    return dataclasses.replace(facts, chips=(facts.chips[0], dataclasses.replace(facts.chips[1], **chip_changes)))


def test_a_server_at_the_wish():
    assert hdk_problems(running(*NEW).facts(), wish()) == []


@pytest.mark.parametrize(
    ("change", "check", "words"),
    [
        ({"health": "Alarm", "error": "A4025021 heart beat lost"}, "chip_health", "NPU 1 chip 0 is Alarm: A4025021"),
        ({"health": "Critical"}, "chip_health", "NPU 1 chip 0 is Critical: no error code"),
        ({"compatibility": "NOT OK"}, "compatibility", "NPU 1: driver 24.1.rc3 and firmware 7.5.0.1.129: NOT OK"),
        ({"firmware_version": OLD[1]}, "firmware_version", "NPU 1 runs firmware 7.1.0.5.220"),
        ({"driver_version": None}, "driver_version", "NPU 1 runs no driver"),
        (
            {"driver_version": UNKNOWN, "firmware_version": UNKNOWN, "gap": "npu-smi prints NA"},
            "chip_version",
            "NPU 1: which driver and firmware it runs is unknown: npu-smi prints NA",
        ),
        ({"firmware_version": UNKNOWN}, "chip_version", "NPU 1: which firmware it runs is unknown"),
        ({"driver_version": OLD[0]}, "driver_version", "NPU 1 runs driver 23.0.3"),
    ],
)
def test_one_chip_that_is_not_as_wanted(change, check, words):
    (problem,) = hdk_problems(facts_with(change), wish())
    assert problem.check == check
    assert problem.value.startswith(words)
    assert problem.rule
    assert problem.next_step


def test_a_board_that_prints_no_compatibility_is_no_problem():
    assert hdk_problems(facts_with({"compatibility": None}), wish()) == []


def test_a_chip_that_npu_smi_does_not_list():
    facts = running(*NEW).facts()
    (problem,) = hdk_problems(dataclasses.replace(facts, chips=facts.chips[:1]), wish())
    assert problem.value == "npu-smi lists 1 chips (NPU 0), the PCI bus 2"


def test_a_silent_npu_smi_gives_its_reason():
    facts = dataclasses.replace(Server().facts(), npu_smi_error="dcmi module initialize failed. ret is -8005")
    (problem,) = hdk_problems(facts, wish())
    assert (problem.check, problem.value) == ("npu_smi", "dcmi module initialize failed. ret is -8005")


def test_all_problems_at_once():
    bad = {"health": "Alarm", "driver_version": OLD[0], "firmware_version": OLD[1]}
    assert len(hdk_problems(facts_with(bad), wish())) == 3
