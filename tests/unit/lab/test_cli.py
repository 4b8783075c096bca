# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from lab import cli, fleet, network, requirements, ssh
from lab.layout import find_lab

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(autouse=True)
def _own_state(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LAB_STATE", str(tmp_path))
    monkeypatch.delenv("LAB_NAME", raising=False)


@pytest.mark.parametrize("words", ["status", "shell node0", "exec -- true", "fault node0 no_boot"])
def test_without_a_lab_the_next_step_is_told(words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(words.split()) == 1
    assert "`python3 -m lab up` makes it" in capsys.readouterr().err


def test_an_unknown_host_is_told_with_those_there_are(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "telechat"
    folder.mkdir()
    (folder / "lab.json").write_text('{"hosts": 2, "chips": 8, "mindspore": false, "foundation": {}}')
    assert cli.main(["shell", "node7"]) == 1
    assert "'node7'; it has node0, node1" in capsys.readouterr().err


def test_who_is_not_root_is_told_so(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(fleet, "up", lambda *_words, **_options: pytest.fail("it went on"))
    assert cli.main(["up"]) == 1
    assert "run it as root" in capsys.readouterr().err


def test_missing_tools_are_told_with_their_packages(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(fleet, "up", lambda *_words, **_options: pytest.fail("it went on"))
    monkeypatch.setattr(requirements.shutil, "which", lambda tool: None if tool == "systemd-nspawn" else "/bin/x")
    assert cli.main(["up"]) == 1
    message = capsys.readouterr().err
    assert "missing here: systemd-nspawn" in message
    assert "apt-get install systemd-container" in message
    assert cli.main(["requirements", "--missing"]) == 0
    assert "systemd-container" in capsys.readouterr().out.split()


@pytest.mark.parametrize(("words", "light"), [("up", False), ("up --light", True)])
def test_light_hosts_are_asked_for_by_name(monkeypatch: pytest.MonkeyPatch, words: str, light: bool) -> None:
    asked: list[bool] = []
    monkeypatch.setattr(requirements, "check", lambda: None)
    monkeypatch.setattr(fleet, "up", lambda _lab, **options: asked.append(options["light"]))
    assert cli.main(words.split()) == 0
    assert asked == [light]


def test_fault_without_a_name_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["fault"]) == 1
    assert "--list" in capsys.readouterr().err
    assert cli.main(["fault", "--list"]) == 0
    assert "no_boot" in capsys.readouterr().out


def test_ctrl_c_is_130_with_the_way_out(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted(_arguments: Any) -> int:
        raise KeyboardInterrupt

    monkeypatch.setitem(cli.COMMANDS, "status", interrupted)
    assert cli.main(["status"]) == 130
    assert "lab down" in capsys.readouterr().err


def test_commands_with_options_of_their_own_reach_the_other_side() -> None:
    assert cli.parser().parse_args(["exec", "--", "ls", "-l", "--", "x"]).argv == ["ls", "-l", "--", "x"]
    assert cli.parser().parse_args(["shell", "node0", "--", "ls", "-l"]).argv == ["ls", "-l"]


def test_ssh_trusts_the_labs_host_keys_only_and_words_stay_words() -> None:
    lab = find_lab("x", {"LAB_STATE": "/s"})
    argv = ssh.argv(lab, lab.host(0), ["sh", "-c", "echo 'a b'"])
    assert argv[:3] == ["nsenter", f"--net={network.NAMESPACES}/lab-x", "--"]
    assert "StrictHostKeyChecking=yes" in argv
    assert "UserKnownHostsFile=/s/x/known_hosts" in argv
    assert argv[-2:] == ["root@10.77.0.11", """sh -c 'echo '"'"'a b'"'"''"""]


def test_the_module_runs_and_lists_its_packages() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "lab", "requirements"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert {"systemd-container", "mmdebstrap", "makeself", "iproute2"} <= set(done.stdout.split())
