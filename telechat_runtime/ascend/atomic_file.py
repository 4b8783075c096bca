# SPDX-License-Identifier: Apache-2.0
"""Replaces files as a whole: a reader, or a power cut, finds the old text or the new one."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from typing import Any, Dict, Optional

READABLE = 0o644


def replace_file(path: str, text: str, *, mode: int = READABLE) -> None:
    """Write a file and give it its name when all of it is on the disk. Raises OSError."""
    handle, temporary = tempfile.mkstemp(dir=os.path.dirname(path), prefix=".new-")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            os.fchmod(stream.fileno(), mode)
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise


def read_object(path: str) -> Optional[Dict[str, Any]]:
    """Return the JSON object in a file; None when there is none that can be read."""
    try:
        with open(path, encoding="utf-8") as stream:
            content = json.load(stream)
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None
