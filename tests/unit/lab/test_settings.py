# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lab.errors import LabError
from lab.layout import MAX_CHIPS, find_lab
from lab.settings import Settings, require, settle
from lab.vendor import hardware

TWO = Settings(hosts=2, chips=8, mindspore=True, foundation={"base": "/b", "apt": "/a"})


def wish(old: Settings | None, **changes: Any) -> Settings:
    return settle(old, **{"hosts": None, "chips": None, "mindspore": True, "light": False, **changes})


def test_a_new_lab_has_two_hosts_of_eight_chips() -> None:
    assert wish(None) == Settings(hosts=2, chips=8, mindspore=True, foundation={})


def test_asking_for_nothing_keeps_what_is_there() -> None:
    assert wish(TWO) == TWO


def test_hosts_can_be_added_and_stand_on_the_same_foundation() -> None:
    assert wish(TWO, hosts=4) == Settings(hosts=4, chips=8, mindspore=True, foundation=TWO.foundation)


@pytest.mark.parametrize("changes", [{"hosts": 1}, {"chips": 4}])
def test_nothing_is_taken_from_a_running_lab(changes: dict[str, int]) -> None:
    with pytest.raises(LabError, match="lab down"):
        wish(TWO, **changes)


def test_a_labs_hosts_are_all_of_the_kind_of_its_first_ones() -> None:
    light = wish(None, light=True)
    assert light.light
    assert wish(light, hosts=50).light
    with pytest.raises(LabError, match=r"--light.*lab down"):
        wish(TWO, light=True)


def test_a_lab_that_an_older_version_made_has_hosts_with_systemd(tmp_path: Path) -> None:
    lab = find_lab("x", {"LAB_STATE": str(tmp_path)})
    lab.state.mkdir()
    lab.settings.write_text('{"hosts": 2, "chips": 8, "mindspore": false, "foundation": {}}')
    assert not require(lab).light


@pytest.mark.parametrize("changes", [{"hosts": 0}, {"hosts": 201}, {"chips": 0}, {"chips": 17}])
def test_impossible_numbers_are_refused_with_the_rule(changes: dict[str, int]) -> None:
    ((name, value),) = changes.items()
    with pytest.raises(LabError, match=rf"--{name} {value}: .* 1 to \d+"):
        wish(None, **changes)


def test_the_limit_of_chips_is_the_vendors(tmp_path: Path) -> None:
    hardware.create(tmp_path, MAX_CHIPS)
    with pytest.raises(ValueError, match="chips"):
        hardware.create(tmp_path, MAX_CHIPS + 1)
