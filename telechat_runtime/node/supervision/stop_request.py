# SPDX-License-Identifier: Apache-2.0
"""The wish to stop a job, as its supervisor gets it: TERM, and a file that says whose wish it is."""

from __future__ import annotations

import contextlib
import json
import os
import signal
from types import FrameType
from typing import Optional

from telechat_runtime.ascend.atomic_file import replace_file
from telechat_runtime.job.paths import JobPaths


def note_request(paths: JobPaths, by: str) -> None:
    """Say in the job's folder who asks for its end; on a full disk it ends all the same, then nobody knows for whom."""
    with contextlib.suppress(OSError):
        replace_file(paths.stop_request, json.dumps({"by": by}))


def is_noted(paths: JobPaths) -> bool:
    """Tell whether somebody has asked for the job's end."""
    return os.path.exists(paths.stop_request)


def told(paths: JobPaths) -> str:
    """Return why a job that was asked to end has ended."""
    try:
        with open(paths.stop_request, encoding="utf-8") as file:
            by = json.load(file)["by"]
    except (OSError, ValueError, KeyError, TypeError):
        by = ""
    return f"stopped on request of {by}" if by else "stopped on request"


class StopSignal:
    """Notes that somebody asked this process to end; a closing terminal or SSH link is no reason to."""

    def __init__(self) -> None:
        self.asked = False
        signal.signal(signal.SIGTERM, self._ask)
        # Handlers, not SIG_IGN: that would be inherited by msrun and every worker.
        signal.signal(signal.SIGHUP, self._take_no_notice)
        signal.signal(signal.SIGINT, self._take_no_notice)

    def _ask(self, _number: int, _frame: Optional[FrameType]) -> None:
        self.asked = True

    def _take_no_notice(self, _number: int, _frame: Optional[FrameType]) -> None:
        pass
