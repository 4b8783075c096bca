# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from telechat_runtime.node.supervision.disk_room import DiskRoom
from telechat_runtime.node.supervision.state import RESERVE_BYTES

FULL = "No space left on device: {}"


def leave(free_bytes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = os.statvfs("/")
    left = os.statvfs_result((512, 512, disk.f_blocks, free_bytes // 512, free_bytes // 512, *tuple(disk)[5:]))
    monkeypatch.setattr(os, "statvfs", lambda _: left)


def test_a_disk_with_room_is_not_full(tmp_path: Path) -> None:
    assert DiskRoom(str(tmp_path)).shortage() == ""


@pytest.mark.parametrize("free_bytes", [0, RESERVE_BYTES])
def test_a_full_disk_is_named_even_when_the_reserve_is_spent(
    free_bytes: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    leave(free_bytes, monkeypatch)
    assert DiskRoom(str(tmp_path)).shortage() == FULL.format(tmp_path)


def test_a_disk_that_was_full_is_remembered_for_a_minute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    room = DiskRoom(str(tmp_path))
    leave(0, monkeypatch)
    room.look()
    leave(1 << 30, monkeypatch)
    now += 59
    assert room.shortage() == FULL.format(tmp_path)
    now += 2
    assert room.shortage() == ""


def test_a_disk_that_cannot_be_asked_is_not_called_full(tmp_path: Path) -> None:
    assert DiskRoom(str(tmp_path / "gone")).shortage() == ""
