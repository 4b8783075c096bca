# SPDX-License-Identifier: Apache-2.0
"""Tells whether folders are on storage that all nodes share: one node puts a marker there, the others look for it.

Inode numbers, file system types and mount sources prove nothing across FUSE, bind mounts and containers; a file that
another node has just written does.
"""

from __future__ import annotations

import contextlib
import os
import re
import time
from typing import Any, Callable, Dict, Optional

from telechat_runtime.errors import UsageError

MARKER = re.compile(r"\.telechat-doctor-[0-9a-f]{12}")
_PREFIX = ".telechat-doctor-"
_STALE_SECONDS = 3600.0


def look(request: Dict[str, Any]) -> Dict[str, Any]:
    """Put, find or remove the marker in each folder; answer `error` (why it can't be written) and `found`.

    The request has `shared_folders`: {"action": put, find or remove, "marker": file name, "paths": [folder, ...]}.
    """
    wish = request.get("shared_folders")
    action = _ACTIONS.get(wish.get("action")) if isinstance(wish, dict) else None
    if not isinstance(wish, dict) or action is None or not MARKER.fullmatch(str(wish.get("marker"))):
        raise UsageError("the request has no shared_folders with action, marker and paths")
    return {path: action(path, wish["marker"]) for path in wish.get("paths", [])}


def _put(folder: str, marker: str) -> Dict[str, Any]:
    _remove_stale(folder)
    error = _write(os.path.join(folder, marker))
    return {"error": error, "found": error is None}


def _find(folder: str, marker: str) -> Dict[str, Any]:
    own = os.path.join(folder, f"{marker}-{os.uname().nodename}-{os.getpid()}")
    error = _write(own)
    _unlink(own)
    return {"error": error, "found": os.path.exists(os.path.join(folder, marker))}


def _remove(folder: str, marker: str) -> Dict[str, Any]:
    _unlink(os.path.join(folder, marker))
    return {"error": None, "found": os.path.exists(os.path.join(folder, marker))}


_ACTIONS: Dict[Any, Callable[[str, str], Dict[str, Any]]] = {"put": _put, "find": _find, "remove": _remove}


def _write(path: str) -> Optional[str]:
    if not os.path.isdir(os.path.dirname(path)):
        return "no such folder"
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644))
    except OSError as error:
        return f"can't be written: {error.strerror}"
    return None


def _unlink(path: str) -> None:
    with contextlib.suppress(OSError):
        os.unlink(path)


def _remove_stale(folder: str) -> None:
    """Remove markers whose control side died before it could."""
    try:
        names = [name for name in os.listdir(folder) if name.startswith(_PREFIX)]
    except OSError:
        return
    for path in (os.path.join(folder, name) for name in names):
        with contextlib.suppress(OSError):
            if time.time() - os.stat(path).st_mtime > _STALE_SECONDS:
                os.unlink(path)
