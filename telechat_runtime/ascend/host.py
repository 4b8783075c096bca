# SPDX-License-Identifier: Apache-2.0
"""What a job needs of its host: its own name, and room on its disk."""

from __future__ import annotations

import os
import socket
from typing import Optional


def name_error(hostname: str) -> Optional[str]:
    """Return why a host name does not resolve; None when it does.

    Asked as MindFormers does: a rank whose own host name does not resolve dies, and the others wait for it.
    """
    try:
        socket.gethostbyname(hostname)
    except OSError as error:
        return str(error)
    return None


def nearest_folder(path: str) -> str:
    """Return the folder at a path, or the nearest one above it."""
    while not os.path.isdir(path) and os.path.dirname(path) != path:
        path = os.path.dirname(path)
    return path


def free_bytes(path: str, *, for_root: bool = False) -> int:
    """Return the free bytes of the file system that a path, which need not exist yet, is or will be on.

    Only root may use the blocks that a file system keeps in reserve.
    """
    found = os.statvfs(nearest_folder(path))
    return (found.f_bfree if for_root else found.f_bavail) * found.f_frsize
