# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import pytest

from lab import limits
from lab.errors import LabError

INSTANCES = "fs/inotify/max_user_instances"
NEIGHBOURS = "net/ipv4/neigh/default/gc_thresh3"


@pytest.fixture
def sysctl(tmp_path: Path) -> Path:
    for name, text in ((INSTANCES, "128\n"), (NEIGHBOURS, "1024\n")):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def test_a_limit_is_raised_once_and_never_lowered(sysctl: Path) -> None:
    lines: list[str] = []
    limits.make_room(28, lines.append, light=False, sysctl=sysctl)
    assert (sysctl / INSTANCES).read_text() == "960\n"
    assert "fs.inotify.max_user_instances: 128 -> 960, until this machine boots" in lines
    told = len(lines)
    limits.make_room(2, lines.append, light=False, sysctl=sysctl)
    assert (sysctl / INSTANCES).read_text() == "960\n"
    assert len(lines) == told


def test_every_host_can_know_every_other_one(sysctl: Path) -> None:
    limits.make_room(200, print, light=True, sysctl=sysctl)
    assert int((sysctl / NEIGHBOURS).read_text()) >= 200 * 200


def test_few_hosts_fit_into_the_kernels_own_table(sysctl: Path) -> None:
    limits.make_room(16, print, light=True, sysctl=sysctl)
    assert (sysctl / NEIGHBOURS).read_text() == "1024\n"


def test_light_hosts_watch_no_files(sysctl: Path) -> None:
    limits.make_room(200, print, light=True, sysctl=sysctl)
    assert int((sysctl / INSTANCES).read_text()) < 1000


def test_who_may_not_raise_it_is_told_the_command(sysctl: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_words: object) -> int:
        raise PermissionError

    monkeypatch.setattr(Path, "write_text", refuse)
    with pytest.raises(LabError, match=r"sysctl fs\.inotify\.max_user_instances=960"):
        limits.make_room(28, print, light=False, sysctl=sysctl)
