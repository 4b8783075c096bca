# SPDX-License-Identifier: Apache-2.0
"""Switching light hosts, with a supervisor that does what a test says when it is waited for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lab import host_state, network, supervision
from lab.errors import LabError
from lab.layout import Host, Lab, find_lab
from lab.light import power
from lab.supervisor import record


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    """A lab of three hosts whose supervisor is there as long as its record is."""
    lab = find_lab("x", {"LAB_STATE": str(tmp_path)})
    for host in lab.hosts(3):
        host.hardware.mkdir(parents=True)
    lab.supervisor.touch()
    monkeypatch.setattr(host_state.process, "alive", lambda path: path.exists())
    for name in ("make_hosts", "plug"):
        monkeypatch.setattr(network, name, lambda *_words, **_options: None)
    monkeypatch.setattr(network, "connect", lambda *_words: [])
    return lab


def meanwhile(monkeypatch: pytest.MonkeyPatch, *steps: Callable[[], Any]) -> list[Callable[[], Any]]:
    """Do one step each time that somebody waits, who may not wait longer; return what is left to do."""
    left = list(steps)
    monkeypatch.setattr(power.time, "sleep", lambda _seconds: left.pop(0)())
    return left


def boots(*hosts: Host, says: str = "running") -> Callable[[], None]:
    def boot() -> None:
        for host in hosts:
            host.supervisor.touch()
            record(host, "boot")
            host.os_boot.write_text(says)

    return boot


def test_hosts_that_are_off_are_switched_on_and_waited_for(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    hosts, lines = lab.hosts(3), list[str]()
    boots(hosts[0])()
    meanwhile(monkeypatch, boots(hosts[2]), boots(hosts[1]))
    assert power.switch_on(lab, hosts, lines.append)
    assert [host.powered.exists() for host in hosts] == [False, True, True]
    assert lines == ["up: node1, node2"]


def test_nothing_to_do_is_no_change(lab: Lab) -> None:
    boots(*lab.hosts(3))()
    assert not power.switch_on(lab, lab.hosts(3), pytest.fail)


def test_what_an_earlier_boot_said_does_not_count(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    (host,) = lab.hosts(1)
    boots(host)()
    host.powered.touch()
    record(host, "off")
    left = meanwhile(monkeypatch, lambda: None, boots(host))
    assert not power.switch_on(lab, [host], pytest.fail)
    assert left == []


def test_what_was_said_before_the_supervisor_died_does_not_count(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    (host,) = lab.hosts(1)
    boots(host)()
    host.supervisor.unlink()
    left = meanwhile(monkeypatch, host.supervisor.touch, boots(host))
    assert power.switch_on(lab, [host], lambda _line: None)
    assert left == []


def test_a_host_that_a_fault_holds_is_told_and_not_waited_for(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    (host,), lines = lab.hosts(1), list[str]()

    def hold() -> None:
        host.supervisor.touch()
        record(host, "no_boot")

    meanwhile(monkeypatch, hold)
    assert power.switch_on(lab, [host], lines.append)
    assert len(lines) == 1
    assert "node0: a fault holds its boot back" in lines[0]


def test_a_failed_unit_is_told(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    lines: list[str] = []
    meanwhile(monkeypatch, boots(*lab.hosts(1), says="degraded"))
    power.switch_on(lab, lab.hosts(1), lines.append)
    assert "node0: up, but a unit failed" in lines[0]


def test_a_host_that_ends_instead_of_booting_is_an_error_that_names_its_console(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = lab.host(1)
    meanwhile(monkeypatch, lambda: None, host.powered.unlink)
    with pytest.raises(LabError, match=f"node1 did not boot.*{host.console}"):
        power.switch_on(lab, [host], pytest.fail)


def test_a_supervisor_that_dies_is_noticed(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    meanwhile(monkeypatch, lab.supervisor.unlink)
    with pytest.raises(LabError, match="node0 did not boot"):
        power.switch_on(lab, lab.hosts(2), pytest.fail)


def test_a_new_supervisor_boots_only_what_is_asked_for(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    hosts, ended = lab.hosts(3), list[Any]()
    lab.supervisor.unlink()
    hosts[2].powered.touch()
    monkeypatch.setattr(supervision, "end", ended.append)
    monkeypatch.setattr(supervision, "start", lambda supervisor: supervisor.record.touch())
    meanwhile(monkeypatch, boots(hosts[0]))
    assert power.switch_on(lab, hosts[:1], lambda _line: None)
    assert [host.powered.exists() for host in hosts] == [True, False, False]
    assert len(ended) == 1


def test_switching_off_waits_until_the_last_process_is_gone(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    hosts = lab.hosts(2)
    for host in hosts:
        host.powered.touch()
        host.supervisor.touch()
    left = meanwhile(monkeypatch, hosts[1].supervisor.unlink, hosts[0].supervisor.unlink)
    power.switch_off(lab, hosts)
    assert left == []
    assert not any(host.powered.exists() for host in hosts)


def test_hosts_of_a_dead_supervisor_are_ended_with_their_group(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    ended: list[Any] = []
    lab.supervisor.unlink()
    monkeypatch.setattr(supervision, "end", ended.append)
    power.switch_off(lab, lab.hosts(2))
    assert [supervisor.group for supervisor in ended] == [supervision.of_light_hosts(lab).group]
