# SPDX-License-Identifier: Apache-2.0
"""The SHA-256 of a large file. Apart from downloads, whose imports would slow down every look at a server."""

from __future__ import annotations

import hashlib

CHUNK = 1024 * 1024


def file_sha256(path: str) -> str:
    """Return the sha256 of a file, read in pieces."""
    digest = hashlib.sha256()
    with open(path, "rb") as stream:
        for chunk in iter(lambda: stream.read(CHUNK), b""):
            digest.update(chunk)
    return digest.hexdigest()
