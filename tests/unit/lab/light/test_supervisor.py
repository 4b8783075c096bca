# SPDX-License-Identifier: Apache-2.0
"""The power supply of light hosts, with machines that end as a test wants."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from lab import host_state, network, process
from lab.errors import LabError
from lab.layout import Host, find_lab
from lab.light import machine, supervisor
from lab.light.supervisor import Supply, step
from lab.process import Identity
from lab.vendor import faults, hardware

CHIPS = 2
OWN = Identity(pid=1, start=1, boot="b")


class Machine:
    """A booted host: it runs until it ends by itself or is killed."""

    def __init__(self, pid: int, argv: list[str]) -> None:
        self.pid = pid
        self.argv = argv
        self.code: int | None = None

    def poll(self) -> int | None:
        return self.code


class Room:
    """Hosts, their supplies and what was booted and plugged."""

    def __init__(self, folder: Path) -> None:
        self.lab = find_lab("x", {"LAB_STATE": str(folder)})
        self.hosts = self.lab.hosts(2)
        self.supplies = [Supply(host, OWN, self.lab.bus) for host in self.hosts]
        self.machines: list[Machine] = []
        self.plugged: dict[str, bool] = {}
        for host in self.hosts:
            hardware.create(host.hardware, CHIPS)
            settings = {"base": "/base", "chips": CHIPS, "mindspore": None, "group": "g"}
            host.boot_settings.write_text(json.dumps(settings))

    def step(self, now: float = 0) -> None:
        step(self.lab, self.supplies, now)

    def events(self, host: Host) -> list[str]:
        return host_state.events(host)


@pytest.fixture
def room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Room:
    room = Room(tmp_path)

    def boot(argv: list[str], **_options: Any) -> Machine:
        room.machines.append(Machine(1000 + len(room.machines), argv))
        return room.machines[-1]

    def plug(_lab: Any, hosts: list[Host], *, on: bool) -> None:
        room.plugged.update({host.name: on for host in hosts})

    def kill(pid: int, _signal: int) -> None:
        room.machines[pid - 1000].code = 1

    monkeypatch.setattr(supervisor.subprocess, "Popen", boot)
    monkeypatch.setattr(network, "plug", plug)
    monkeypatch.setattr(supervisor.os, "kill", kill)
    monkeypatch.setattr(machine, "first_process", lambda _pid: None)
    return room


def test_a_host_boots_when_its_power_is_switched_on_and_is_known_by_its_supervisor(room: Room) -> None:
    room.step()
    assert room.machines == []
    room.hosts[0].powered.touch()
    room.step()
    room.step()
    assert len(room.machines) == 1
    assert room.plugged == {"node0": True}
    assert process.recorded(room.hosts[0].supervisor) == OWN
    assert not room.hosts[1].supervisor.exists()
    assert room.events(room.hosts[0]) == ["boot"]


def test_a_reboot_is_another_boot_with_the_cable_dead_meanwhile(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[bool] = []
    monkeypatch.setattr(network, "plug", lambda _lab, hosts, *, on: seen.extend(on for _ in hosts))
    room.hosts[0].powered.touch()
    room.step()
    room.machines[0].code = machine.REBOOT
    room.step()
    assert len(room.machines) == 2
    assert seen == [True, False, True]
    assert room.events(room.hosts[0]) == ["boot", "off", "boot"]
    assert room.hosts[0].supervisor.exists()


@pytest.mark.parametrize("code", [-2, 0, 1])
def test_a_host_that_goes_off_by_itself_stays_off(room: Room, code: int) -> None:
    room.hosts[0].powered.touch()
    room.step()
    room.machines[0].code = code
    room.step()
    room.step()
    assert len(room.machines) == 1
    assert room.plugged == {"node0": False}
    assert not room.hosts[0].powered.exists()
    assert not room.hosts[0].supervisor.exists()


def test_a_host_whose_hardware_asks_for_it_loses_power_once_and_the_others_run(room: Room) -> None:
    for host in room.hosts:
        host.powered.touch()
    room.step()
    room.hosts[0].power_cut.touch()
    room.step()
    room.step()
    assert [machine.code for machine in room.machines] == [1, None, None]
    assert room.events(room.hosts[0]) == ["boot", "off", "boot"]
    assert room.events(room.hosts[1]) == ["boot"]
    assert not room.hosts[0].power_cut.exists()


def test_a_host_that_is_switched_off_is_killed_and_boots_when_switched_on_again(room: Room) -> None:
    room.hosts[0].powered.touch()
    room.step()
    room.hosts[0].powered.unlink()
    room.step()
    assert room.machines[0].code == 1
    assert not room.hosts[0].supervisor.exists()
    room.hosts[0].powered.touch()
    room.step()
    assert len(room.machines) == 2
    assert room.hosts[0].supervisor.exists()


def test_a_host_is_held_until_no_boot_is_cleared(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host_state.process, "alive", lambda path: path.exists())
    faults.set_fault(room.hosts[0].hardware, "no_boot")
    room.hosts[0].powered.touch()
    for _ in range(3):
        room.step()
    assert room.machines == []
    assert room.events(room.hosts[0]) == ["no_boot"]
    assert host_state.state(room.hosts[0]) == "held"
    faults.clear(room.hosts[0].hardware)
    room.step()
    assert len(room.machines) == 1


def test_a_held_host_can_be_switched_off(room: Room) -> None:
    faults.set_fault(room.hosts[0].hardware, "no_boot")
    room.hosts[0].powered.touch()
    room.step()
    room.hosts[0].powered.unlink()
    room.step()
    room.step()
    assert room.events(room.hosts[0]) == ["no_boot", "off"]
    assert not room.hosts[0].supervisor.exists()


def test_slow_boot_holds_each_boot_back(room: Room) -> None:
    faults.set_fault(room.hosts[0].hardware, "slow_boot", 7)
    room.hosts[0].powered.touch()
    room.step(now=100)
    room.step(now=106.9)
    assert room.machines == []
    room.step(now=107)
    assert len(room.machines) == 1
    room.machines[0].code = machine.REBOOT
    room.step(now=200)
    room.step(now=206)
    assert len(room.machines) == 1
    room.step(now=208)
    assert len(room.machines) == 2
    assert room.events(room.hosts[0]) == ["slow_boot", "boot", "off", "slow_boot", "boot"]


def test_what_the_last_boot_said_is_not_taken_for_this_ones(room: Room) -> None:
    room.hosts[0].os_boot.write_text("running")
    room.hosts[0].powered.touch()
    room.step()
    assert not room.hosts[0].os_boot.exists()


def test_whole_servers_share_a_bus_and_one_that_lacks_a_chip_has_its_own(room: Room) -> None:
    faults.set_fault(room.hosts[1].hardware, "chip_missing_after_reboot", 0)
    for host in room.hosts:
        host.powered.touch()
    room.step()
    assert str(room.lab.bus / "pci/devices") in room.machines[0].argv
    own = room.hosts[1].hardware / "bus/pci/devices"
    assert str(own) in room.machines[1].argv
    assert len(list(own.iterdir())) == CHIPS - 1


def test_a_host_that_cannot_boot_is_told_and_the_others_keep_their_power(
    room: Room, capsys: pytest.CaptureFixture[str]
) -> None:
    room.hosts[0].boot_settings.unlink()
    for host in room.hosts:
        host.powered.touch()
    room.step()
    room.step()
    assert len(room.machines) == 1
    assert "node0: " in capsys.readouterr().out
    assert [host.powered.exists() for host in room.hosts] == [False, True]


def test_a_network_that_is_gone_ends_no_host(
    room: Room, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_words: Any, **_options: Any) -> None:
        raise LabError("no hub")

    monkeypatch.setattr(network, "plug", fail)
    room.hosts[0].powered.touch()
    room.step()
    assert len(room.machines) == 1
    assert "no hub" in capsys.readouterr().out
