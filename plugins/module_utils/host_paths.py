# SPDX-License-Identifier: Apache-2.0
"""What a path on the host is."""

from __future__ import annotations

import os
import stat
from typing import Optional


def kind_of(path: str) -> Optional[str]:
    """Return "file", "dir", "device" (or "other") as the path leads there, None when nothing does."""
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return None
    if stat.S_ISDIR(mode):
        return "dir"
    if stat.S_ISREG(mode):
        return "file"
    return "device" if stat.S_ISCHR(mode) or stat.S_ISBLK(mode) else "other"
