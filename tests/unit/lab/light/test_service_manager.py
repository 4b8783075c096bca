# SPDX-License-Identifier: Apache-2.0
"""What the service manager understands; what it does to a host is tried on hosts (tests/lab/test_light_hosts.py)."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

from lab.light import service_manager
from lab.light.service_manager import POWER_OFF, RESTART, main, oneshot_commands, shutdown_action, verdict

UNITS = Path(__file__).parents[4] / "lab/vendor/payload/driver/systemd"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where a host that has booted keeps what it knows."""
    monkeypatch.setattr(service_manager, "RESULTS", tmp_path / "results.json")
    monkeypatch.setattr(service_manager, "STOPPING", tmp_path / "stopping")
    return tmp_path


def test_the_drivers_service_runs_at_boot() -> None:
    command = ["/usr/local/Ascend/driver/host_sys_init.sh", "start"]
    assert oneshot_commands((UNITS / "host_sys_init.service").read_text()) == [command]


@pytest.mark.parametrize(
    ("text", "commands"),
    [
        (
            "[Service]\nType=oneshot\nExecStart=/bin/a 'b c' \\\n  d\nExecStart=/bin/e\n",
            [["/bin/a", "b c", "d"], ["/bin/e"]],
        ),
        ("[Service]\nType = oneshot\nExecStart = /bin/a\n", [["/bin/a"]]),
        ("[Service]\nType=oneshot\nExecStart=\n", []),
        ("[Service]\nExecStart=/usr/sbin/daemon\n", []),
        ("[Service]\nType=notify\nExecStart=/usr/sbin/daemon\n", []),
        ("", []),
    ],
)
def test_only_what_runs_to_an_end_is_started(text: str, commands: list[list[str]]) -> None:
    assert oneshot_commands(text) == commands


def test_a_masked_service_is_none_and_the_administrators_unit_comes_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    etc, lib = tmp_path / "etc", tmp_path / "lib"
    for place in (etc, lib):
        place.mkdir()
        for unit in ("a.service", "b.service"):
            (place / unit).write_text(place.name)
    (etc / "a.service").unlink()
    (etc / "a.service").symlink_to("/dev/null")
    (lib / "c.service").write_text("lib")
    monkeypatch.setattr(service_manager, "UNITS", (etc, lib))
    assert [service_manager.unit_text(f"{name}.service") for name in "abcd"] == ["", "etc", "lib", ""]


def test_a_commands_exit_code_is_told_and_a_missing_one_is_127(capfd: pytest.CaptureFixture[str]) -> None:
    assert service_manager.run(["sh", "-c", "exit 3"]) == 3
    assert service_manager.run(["/no/such/program"]) == 127
    assert "/no/such/program" in capfd.readouterr().out


@pytest.mark.parametrize(
    ("words", "action"),
    [
        (["-r", "0", "Reboot initiated by Ansible"], RESTART),
        (["-r", "now"], RESTART),
        (["-h", "now"], POWER_OFF),
        (["now"], POWER_OFF),
        (["-r", "+5"], None),
        (["-r"], None),
        (["-c"], None),
        (["-r", "-h", "now"], None),
    ],
)
def test_shutdown_ends_the_host_at_once_or_says_no(words: list[str], action: int | None) -> None:
    assert shutdown_action(words) == action


@pytest.mark.parametrize(
    ("results", "stopping", "state"),
    [
        (None, False, "starting"),
        ({}, False, "running"),
        ({"a.service": 0, "b.service": 1}, False, "degraded"),
        ({}, True, "stopping"),
    ],
)
def test_the_systems_state_has_systemds_names(results: dict[str, int] | None, stopping: bool, state: str) -> None:
    assert verdict(results, stopping=stopping) == state


def test_the_state_of_services_is_told(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "results.json").write_text(json.dumps({"good.service": 0, "bad.service": 1}))
    assert main("systemctl", ["is-system-running", "--wait"]) == 1
    assert main("systemctl", ["is-active", "good.service", "bad.service", "other.service"]) == 0
    assert main("systemctl", ["is-active", "bad.service"]) == 3
    assert main("systemctl", ["--failed"]) == 0
    assert capsys.readouterr().out.split() == ["degraded", "active", "failed", "inactive", "failed", "bad.service"]


def test_who_asks_for_a_second_end_is_told_that_the_first_is_under_way(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "stopping").mkdir()
    for name, words in (("reboot", []), ("systemctl", ["poweroff"]), ("shutdown", ["-r", "now"])):
        assert main(name, words) == 1
    assert main("systemctl", ["is-system-running"]) == 1
    assert capsys.readouterr().out == "stopping\n"


def test_a_terminal_that_closes_does_not_keep_the_host_from_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    ignored: set[int] = set()

    def set_handler(number: int, handler: object) -> None:
        if handler is signal.SIG_IGN:
            ignored.add(number)

    def fork() -> int:
        assert ignored >= {signal.SIGHUP, signal.SIGTERM}
        return 1

    monkeypatch.setattr(service_manager.signal, "signal", set_handler)
    monkeypatch.setattr(service_manager.os, "fork", fork)
    assert main("reboot", []) == 0


@pytest.mark.parametrize("words", [[], ["start", "docker"], ["list-timers"]])
def test_what_it_does_not_know_is_refused_with_what_it_knows(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main("systemctl", words) == 1
    assert "is-system-running" in capsys.readouterr().err


def test_nobody_but_the_first_process_boots_a_host() -> None:
    assert main("init", []) == 1
