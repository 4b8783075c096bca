# SPDX-License-Identifier: Apache-2.0
"""Hash what an image is built from."""

from __future__ import annotations

import hashlib
import os


def hash_folder(folder: str) -> str:
    """Return one sha256 over names, executable bits and contents of a folder's files. Raises OSError."""
    if not os.path.isdir(folder):
        raise NotADirectoryError(f"{folder} is no folder")
    digest = hashlib.sha256()
    for path in sorted(os.path.join(base, name) for base, _, names in os.walk(folder) for name in names):
        if os.path.islink(path):
            digest.update(f"{os.path.relpath(path, folder)}\0{os.readlink(path)}\0".encode())
            continue
        content = hashlib.sha256()
        with open(path, "rb") as stream:
            for chunk in iter(lambda: stream.read(1024 * 1024), b""):
                content.update(chunk)
        executable = os.stat(path).st_mode & 0o100
        digest.update(f"{os.path.relpath(path, folder)}\0{executable}\0{content.hexdigest()}\0".encode())
    return digest.hexdigest()
