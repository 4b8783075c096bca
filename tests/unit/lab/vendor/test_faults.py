# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lab.vendor import faults

if TYPE_CHECKING:
    from pathlib import Path


def test_faults_are_set_one_by_one_and_healed_one_by_one(tmp_path: Path) -> None:
    faults.set_fault(tmp_path, "chip_alarm", 3)
    faults.set_fault(tmp_path, "no_boot")
    assert faults.read(tmp_path) == {"chip_alarm": 3, "no_boot": True}
    faults.clear(tmp_path, "chip_alarm")
    assert faults.read(tmp_path) == {"no_boot": True}


def test_clear_without_a_name_heals_all(tmp_path: Path) -> None:
    faults.set_fault(tmp_path, "slow_boot", 4)
    faults.set_fault(tmp_path, "no_boot")
    faults.clear(tmp_path)
    assert faults.read(tmp_path) == {}


def test_a_server_without_a_fault_file_has_no_faults(tmp_path: Path) -> None:
    assert faults.read(tmp_path) == {}


@pytest.mark.parametrize("change", [faults.set_fault, faults.clear])
def test_an_unknown_fault_is_refused_and_nothing_changes(tmp_path: Path, change: object) -> None:
    faults.set_fault(tmp_path, "no_boot")
    with pytest.raises(ValueError, match=r"unknown fault 'coffee'; known: .*chip_alarm"):
        change(tmp_path, "coffee")  # type: ignore[operator]
    assert faults.read(tmp_path) == {"no_boot": True}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("chip_alarm", "two"),
        ("chip_alarm", -1),
        ("slow_boot", False),
        ("no_boot", 3),
        ("net_health", 4),
        ("no_boot", "x"),
        ("power_cut", True),
        ("power_cut", "driver"),
        ("power_cut", "driver:101"),
        ("power_cut", "coffee:10"),
        ("stall", "driver"),
    ],
)
def test_a_value_that_makes_no_sense_is_refused(tmp_path: Path, name: str, value: object) -> None:
    with pytest.raises(ValueError, match=f"{name}={value!r}: "):
        faults.set_fault(tmp_path, name, value)
    assert faults.read(tmp_path) == {}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("slow_boot", 0.5),
        ("chip_alarm", 0),
        ("net_health", "Init"),
        ("no_boot", True),
        ("power_cut", "driver:40"),
        ("stall", "firmware:50"),
    ],
)
def test_values_that_make_sense(tmp_path: Path, name: str, value: object) -> None:
    faults.set_fault(tmp_path, name, value)
    assert faults.read(tmp_path) == {name: value}


@pytest.mark.parametrize(("value", "chip"), [(True, 7), (0, 0), (5, 5)])
def test_the_value_of_a_chip_fault_is_its_id(value: object, chip: int) -> None:
    assert faults.chip_of(value, 7) == chip
