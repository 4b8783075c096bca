# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import pytest

from lab import limits
from lab.errors import LabError


def test_a_limit_is_raised_once_and_never_lowered(tmp_path: Path) -> None:
    path = tmp_path / "max_user_instances"
    path.write_text("128\n")
    lines: list[str] = []
    limits.make_room(28, lines.append, path)
    assert path.read_text() == "960\n"
    assert lines == ["fs.inotify.max_user_instances: 128 -> 960, until this machine boots"]
    limits.make_room(2, lines.append, path)
    assert path.read_text() == "960\n"
    assert len(lines) == 1


def test_who_may_not_raise_it_is_told_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "fs/inotify/max_user_instances"
    path.parent.mkdir(parents=True)
    path.write_text("128\n")

    def refuse(*_words: object) -> int:
        raise PermissionError

    monkeypatch.setattr(Path, "write_text", refuse)
    with pytest.raises(LabError, match=r"sysctl fs\.inotify\.max_user_instances=960"):
        limits.make_room(28, print, path)
