# SPDX-License-Identifier: Apache-2.0
"""Whether the job's disk is or just was full: then a process can't even log why it failed."""

from __future__ import annotations

import errno
import math
import os
import time

from telechat_runtime.node.supervision.state import RESERVE_BYTES

_A_LOGS_BYTES = 64 * 1024
# What fails of a full disk often frees it: MindFormers takes back half a checkpoint, the supervisor spends its reserve.
_REMEMBERED_SECONDS = 60.0


class DiskRoom:
    """Looks at the disk of a folder from time to time, and remembers for a minute that it was full."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._full_at = -math.inf

    def look(self) -> None:
        """Look whether a log's last lines have room beside the reserve; a disk that can't be asked is not full."""
        try:
            disk = os.statvfs(self._folder)
        except OSError:
            return
        if disk.f_bavail * disk.f_frsize < RESERVE_BYTES + _A_LOGS_BYTES:
            self._full_at = time.monotonic()

    def shortage(self) -> str:
        """Return the words of the C library for a disk that is or just was full, or nothing."""
        self.look()
        if time.monotonic() - self._full_at >= _REMEMBERED_SECONDS:
            return ""
        return f"{os.strerror(errno.ENOSPC)}: {self._folder}"
