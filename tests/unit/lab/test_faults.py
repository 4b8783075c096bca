# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from lab import faults
from lab.errors import LabError
from lab.layout import Host


@pytest.fixture
def host(tmp_path: Path) -> Host:
    found = Host(lab="x", index=0, folder=tmp_path)
    found.hardware.mkdir()
    return found


@pytest.mark.parametrize(
    ("text", "name", "value"),
    [
        ("no_boot", "no_boot", True),
        ("chip_alarm=3", "chip_alarm", 3),
        ("slow_boot=2.5", "slow_boot", 2.5),
        ("net_health=Socket fail", "net_health", "Socket fail"),
        ("flash_base=23.0.3", "flash_base", "23.0.3"),
        ("no_boot=false", "no_boot", False),
    ],
)
def test_a_value_is_json_where_it_reads_as_json(text: str, name: str, value: Any) -> None:
    assert faults.parse(text) == (name, value)


def test_faults_add_up_and_are_healed_one_by_one_or_all(host: Host) -> None:
    faults.inject(host, "chip_alarm=3")
    faults.inject(host, "no_boot")
    assert json.loads(host.faults.read_text()) == {"chip_alarm": 3, "no_boot": True}
    faults.heal(host, "chip_alarm")
    assert json.loads(host.faults.read_text()) == {"no_boot": True}
    faults.heal(host, None)
    assert json.loads(host.faults.read_text()) == {}


@pytest.mark.parametrize("text", ["no_such_fault", "slow_boot=soon", "slow_boot=-1", 'slow_boot={"a": 1}'])
def test_what_nothing_obeys_is_refused_and_changes_nothing(host: Host, text: str) -> None:
    with pytest.raises(LabError, match=r"no_such_fault|slow_boot"):
        faults.inject(host, text)
    assert not host.faults.exists() or json.loads(host.faults.read_text()) == {}


def test_healing_an_unknown_fault_is_a_mistake(host: Host) -> None:
    with pytest.raises(LabError, match="no_such_fault"):
        faults.heal(host, "no_such_fault")


def test_the_list_describes_every_fault_of_the_boot() -> None:
    lines = faults.listing().splitlines()
    for name in ("slow_boot", "no_boot", "chip_alarm"):
        assert any(line.startswith(f"{name} ") and len(line.split()) > 3 for line in lines)
