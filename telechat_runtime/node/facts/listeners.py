# SPDX-License-Identifier: Apache-2.0
"""Who listens on a TCP port of this machine, for reading."""

from __future__ import annotations

from typing import List

from telechat_runtime.ascend import listeners
from telechat_runtime.node.supervision.processes import command_of

_UNKNOWN = "a process that is not in sight"


def on_port(port: int) -> List[str]:
    """Return pid and command of each process that listens there, or that one does which can't be seen."""
    pids = listeners.on_port(port)
    if pids is None:
        return []
    return [f"{pid} {command_of(pid)}" for pid in pids] or [_UNKNOWN]
