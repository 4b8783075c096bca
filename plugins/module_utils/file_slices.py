# SPDX-License-Identifier: Apache-2.0
"""The server's half of a resumable copy: what is there, and how slices become the file."""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
from dataclasses import dataclass
from typing import List, Optional

from ansible.module_utils.ascend.host import free_bytes
from ansible.module_utils.download import Part
from ansible.module_utils.file_digest import CHUNK, file_sha256


class AssemblyError(Exception):
    """The slices did not become the file; the text says why."""


@dataclass(frozen=True)
class Target:
    """The file that is to be: path, SHA-256, size in bytes, mode."""

    path: str
    sha256: str
    size: int
    mode: int

    @property
    def part(self) -> str:
        """Where the file grows until it is whole."""
        return self.path + ".part"


def found_sha256(target: Target) -> str:
    """Return the checksum of what stands at the path: empty when there is nothing. Raises AssemblyError, OSError."""
    try:
        kind = os.lstat(target.path).st_mode
    except FileNotFoundError:
        return ""
    if not stat.S_ISREG(kind):
        raise AssemblyError(f"{target.path} is there and is no plain file: remove it, or choose another dest")
    return file_sha256(target.path)


def check_space(target: Target) -> None:
    """Raise AssemblyError when the file would not fit, whatever of an earlier part may be overwritten."""
    part = _stat(target.part)
    earlier = part.st_size if part is not None and stat.S_ISREG(part.st_mode) else 0
    free = free_bytes(os.path.dirname(target.path), for_root=True) + earlier
    if free < target.size:
        missing = f"{target.size} bytes are needed, {free} are free"
        raise AssemblyError(f"no space for {target.path}: {missing}; make room in {os.path.dirname(target.path)}")


def assemble(slices: List[str], target: Target) -> None:
    """Make the file of the slices, in their order; it gets its name once size and sha256 fit. Then they are removed.

    Raises AssemblyError or OSError; the file that was there stays. A killed control side may leave a process behind
    that goes on: where that one was faster, there is nothing left to do.
    """
    check_space(target)
    with os.fdopen(_own_part(target.part), "rb+", buffering=0) as stream:
        try:
            done = found_sha256(target) == target.sha256
            digest = target.sha256 if done else _join(slices, Part(target.part, stream, target.size))
            if digest == target.sha256 and not done:
                os.chmod(target.part, target.mode)
                os.replace(target.part, target.path)
        finally:
            _remove_file(target.part)
    _remove(slices)
    if digest != target.sha256:
        found = f"{target.path} would have sha256 {digest}, expected {target.sha256}"
        raise AssemblyError(f"{found}; what was sent is removed: run again")


def _own_part(path: str) -> int:
    """Return a handle of the part, emptied and locked: one that another run just gave its name is left to it."""
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        fcntl.flock(handle, fcntl.LOCK_EX)
        found = _stat(path)
        if found is not None and os.path.samestat(os.fstat(handle), found):
            os.ftruncate(handle, 0)
            return handle
        os.close(handle)


def _stat(path: str) -> Optional[os.stat_result]:
    """Return what stands at the path, which another run may remove at any moment; None when nothing does."""
    try:
        return os.stat(path)
    except FileNotFoundError:
        return None


def _join(slices: List[str], part: Part) -> str:
    """Append the slices; return the whole's checksum. No link is followed: the folder is the login user's."""
    for path in slices:
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW), "rb") as stream:
            for chunk in iter(lambda: stream.read(CHUNK), b""):
                part.append(chunk)
    return part.finish()


def _remove(slices: List[str]) -> None:
    for path in slices:
        _remove_file(path)
    for folder in {os.path.dirname(path) for path in slices}:
        with contextlib.suppress(OSError):  # it stays when something else is in it
            os.rmdir(folder)


def _remove_file(path: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
