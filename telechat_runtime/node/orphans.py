# SPDX-License-Identifier: Apache-2.0
"""Orphaned processes come to the supervisor, not to a container's PID 1, which may wait for nobody."""

from __future__ import annotations

import ctypes
import os

_PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h


def adopt() -> bool:
    """Make this process the new parent of its descendants' orphans; tell whether the kernel agreed."""
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    return bool(prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0)


def reap(own_child: int) -> None:
    """Let go of the adopted that have ended; `own_child` is waited for by whoever started it."""
    while True:
        try:
            ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return
        if ended is None or ended.si_pid == own_child:
            return
        os.waitpid(ended.si_pid, 0)
