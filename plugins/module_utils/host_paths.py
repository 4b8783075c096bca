# SPDX-License-Identifier: Apache-2.0
"""What a path on the host is, and what the host is called."""

from __future__ import annotations

import os
import socket
import stat
from typing import Optional

from ansible.module_utils.container_plan import Names, parse_hosts


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


def own_names() -> Names:
    """Return the host's name and the entries of its /etc/hosts."""
    try:
        with open("/etc/hosts", encoding="utf-8", errors="replace") as stream:
            known = parse_hosts(stream.read())
    except OSError:
        known = ()
    return Names(hostname=socket.gethostname(), known=known)
