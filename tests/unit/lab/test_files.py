# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import threading
from pathlib import Path

from lab import files


def test_writing_the_same_again_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b"
    assert files.write_atomically(path, "x", 0o600)
    before = path.stat()
    assert not files.write_atomically(path, "x", 0o600)
    assert path.stat().st_ino == before.st_ino
    assert files.write_atomically(path, "x", 0o644)
    assert path.stat().st_mode & 0o777 == 0o644
    assert files.write_atomically(path, "y")
    assert [entry.name for entry in path.parent.iterdir()] == ["b"]


def test_a_link_is_moved_to_its_new_target(tmp_path: Path) -> None:
    path = tmp_path / "link"
    assert files.link_atomically(path, Path("/one"))
    assert not files.link_atomically(path, Path("/one"))
    assert files.link_atomically(path, Path("/two"))
    assert path.readlink() == Path("/two")


def test_mounts_are_found_innermost_first_and_neighbours_are_left_out() -> None:
    lines = [
        "1 0 8:1 / /lab rw - ext4 /dev/a rw",
        "2 1 0:5 / /lab/a\\040b rw - tmpfs t rw",
        "3 2 0:6 / /lab/a\\040b/c rw - tmpfs t rw",
        "4 0 0:7 / /laboratory rw - tmpfs t rw",
    ]
    assert files.mounts_below(Path("/lab"), "\n".join(lines)) == [Path("/lab/a b/c"), Path("/lab/a b"), Path("/lab")]


def test_one_waits_for_the_lock_of_another_even_if_its_file_is_removed(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    order: list[str] = []
    held, second_started = threading.Event(), threading.Event()

    def second() -> None:
        held.wait()
        second_started.set()
        with files.locked(path):
            order.append("second")
            assert path.exists()

    waiting = threading.Thread(target=second)
    waiting.start()
    with files.locked(path):
        held.set()
        second_started.wait()
        order.append("first")
        path.unlink()
    waiting.join()
    assert order == ["first", "second"]


def test_a_link_is_removed_and_not_what_it_points_to(tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "kept")
    files.remove_tree(tmp_path / "link")
    files.remove_tree(tmp_path / "never was")
    assert [entry.name for entry in tmp_path.iterdir()] == ["kept"]
