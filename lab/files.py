# SPDX-License-Identifier: Apache-2.0
"""Files that are whole or absent, locks, and folders that go away with what is mounted in them."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

MOUNTS = Path("/proc/self/mountinfo")
_MOUNT_POINT_FIELD = 4  # proc_pid_mountinfo(5)


def write_atomically(path: Path, text: str, mode: int = 0o644) -> bool:
    """Write a file in one step; return whether anything changed."""
    try:
        if path.read_text() == text and path.stat().st_mode & 0o7777 == mode:
            return False
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.touch(mode=0o600)
    temporary.write_text(text)
    temporary.chmod(mode)
    temporary.replace(path)
    return True


def link_atomically(path: Path, target: Path) -> bool:
    """Make a symbolic link in one step; return whether anything changed."""
    if path.is_symlink() and path.readlink() == target:
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(target)
    temporary.replace(path)
    return True


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold this file's lock; wait for whoever has it. The holder may remove the file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    while True:
        with path.open("a") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            # The one waited for may have removed it: then others lock a new file of this name.
            if path.exists() and path.stat().st_ino == os.fstat(file.fileno()).st_ino:
                yield
                return


def mounts_below(folder: Path, mountinfo: str) -> list[Path]:
    """Return the mount points at and below a folder, the innermost first."""
    points = []
    for line in mountinfo.splitlines():
        # The kernel writes white space and backslashes in paths as octal escapes.
        escaped = line.split()[_MOUNT_POINT_FIELD]
        point = Path(escaped.encode("latin-1", "backslashreplace").decode("unicode_escape"))
        if point == folder or folder in point.parents:
            points.append(point)
    return points[::-1]


def remove_tree(folder: Path) -> None:
    """Remove a folder after unmounting whatever is mounted in it, so that no mounted file is ever deleted."""
    for point in mounts_below(folder, MOUNTS.read_text()):
        subprocess.run(["umount", "--lazy", str(point)], check=True)
    if folder.is_dir() and not folder.is_symlink():
        shutil.rmtree(folder)
    else:
        folder.unlink(missing_ok=True)
