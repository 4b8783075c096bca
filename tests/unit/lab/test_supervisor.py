# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from lab import host_state, supervisor
from lab.layout import find_lab


@pytest.mark.parametrize(("value", "seconds"), [(None, 0), (False, 0), (0, 0), (True, 60), (2.5, 2.5)])
def test_slow_boot_means_seconds_and_true_means_a_minute(value: Any, seconds: float) -> None:
    assert supervisor.delay_seconds(value) == seconds


def test_a_host_boots_at_once_without_faults_and_waits_until_no_boot_is_cleared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = find_lab("x", {"LAB_STATE": str(tmp_path)}).host(0)
    host.hardware.mkdir(parents=True)
    supervisor.wait_for_power(host)
    assert host_state.events(host) == []
    host.faults.write_text('{"no_boot": true}')
    polls: list[float] = []

    def poll(seconds: float) -> None:
        polls.append(seconds)
        if len(polls) == 3:
            host.faults.write_text("{}")

    monkeypatch.setattr(supervisor.time, "sleep", poll)
    supervisor.wait_for_power(host)
    assert len(polls) == 3
    assert host_state.events(host) == ["no_boot"]


def test_slow_boot_holds_the_boot_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    host = find_lab("x", {"LAB_STATE": str(tmp_path)}).host(0)
    host.hardware.mkdir(parents=True)
    host.faults.write_text(json.dumps({"slow_boot": 7}))
    slept: list[float] = []
    monkeypatch.setattr(supervisor.time, "sleep", slept.append)
    supervisor.wait_for_power(host)
    assert slept == [7]


class Machine:
    """A process that ends when it is killed, or on its own."""

    def __init__(self, code: int | None) -> None:
        self.code = code

    def wait(self, timeout: float | None = None) -> int:
        if self.code is None:
            raise subprocess.TimeoutExpired("machine", timeout or 0)
        return self.code

    def kill(self) -> None:
        self.code = -9


def test_a_host_whose_hardware_asks_for_it_loses_power_once_and_boots_again(tmp_path: Path) -> None:
    host = find_lab("x", {"LAB_STATE": str(tmp_path)}).host(0)
    host.hardware.mkdir(parents=True)
    machine: Any = Machine(None)
    host.power_cut.touch()
    assert supervisor.wait(host, machine, machine) == supervisor.POWER_CUT
    assert machine.code == -9
    assert not host.power_cut.exists()
    machine = Machine(133)
    assert supervisor.wait(host, machine, machine) == 133
