# SPDX-License-Identifier: Apache-2.0
"""Unpack an archive of weights into a folder of its own; nothing may land outside of it.

Python 3.7 has no extraction filters, so the rules stand here: plain files and folders only, names that stay below
the folder, modes 0644 and 0755.
"""

from __future__ import annotations

import os
import posixpath
import shutil
import stat
import tarfile
import zipfile
from typing import IO, List


class UnpackError(Exception):
    """The archive is damaged, or an entry breaks a rule; the message names it."""


def unpack(archive: str, kind: str, folder: str) -> List[str]:
    """Unpack a tar or zip into an empty folder; return the files' names relative to it. Raises UnpackError, OSError."""
    try:
        return _unpack_tar(archive, folder) if kind == "tar" else _unpack_zip(archive, folder)
    except (tarfile.TarError, zipfile.BadZipFile, EOFError, RuntimeError, NotImplementedError) as error:
        raise UnpackError(f"{archive} can't be unpacked: {error}") from error


def _unpack_tar(archive: str, folder: str) -> List[str]:
    names = []
    with tarfile.open(archive) as source:
        for member in source:
            name = safe_name(archive, member.name)
            if member.isdir():
                os.makedirs(os.path.join(folder, name), mode=0o755, exist_ok=True)
                continue
            stream = source.extractfile(member) if member.isreg() else None
            if stream is None:
                raise UnpackError(f"{archive}: entry {member.name!r} is neither file nor folder")
            _write(stream, folder, name, member.mtime)
            names.append(name)
    return names


def _unpack_zip(archive: str, folder: str) -> List[str]:
    names = []
    with zipfile.ZipFile(archive) as source:
        for member in source.infolist():
            name = safe_name(archive, member.filename)
            if stat.S_ISLNK(member.external_attr >> 16):
                raise UnpackError(f"{archive}: entry {member.filename!r} is neither file nor folder")
            if member.filename.endswith("/"):
                os.makedirs(os.path.join(folder, name), mode=0o755, exist_ok=True)
                continue
            with source.open(member) as stream:
                _write(stream, folder, name, None)
            names.append(name)
    return names


def safe_name(archive: str, name: str) -> str:
    """Return an entry's name without needless parts; raises UnpackError when it leads outside of the folder."""
    plain = posixpath.normpath(name)
    if name.startswith("/") or "\\" in name or "\0" in name or plain.split("/")[0] == "..":
        raise UnpackError(f"{archive}: entry {name!r} leads outside of the folder")
    return plain


def _write(stream: IO[bytes], folder: str, name: str, mtime: object) -> None:
    path = os.path.join(folder, name)
    os.makedirs(os.path.dirname(path), mode=0o755, exist_ok=True)
    with open(path, "xb") as target:
        shutil.copyfileobj(stream, target, 1024 * 1024)
    os.chmod(path, 0o644)
    if isinstance(mtime, (int, float)):
        os.utime(path, (mtime, mtime))
