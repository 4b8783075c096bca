# SPDX-License-Identifier: Apache-2.0
"""Processes of a lab that stay: each writes who it is once it is ready, and is ended by that record."""

from __future__ import annotations

import os
import subprocess
import time
from typing import TYPE_CHECKING

from lab import process
from lab.errors import LabError
from lab.layout import CHECKOUT

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

_READY_SECONDS = 20.0
_LAST_LINES = 10


def start(argv: Sequence[str], *, record: Path, log: Path, environment: Mapping[str, str] | None = None) -> None:
    """Start a process that outlives this one, and return when it has written its record.

    The command may be one that starts it and ends at once, such as systemd-run.
    Raises LabError with the end of its log when it does not.
    """
    record.unlink(missing_ok=True)
    with log.open("ab") as output:
        child = subprocess.Popen(
            argv,
            cwd=CHECKOUT,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env={**os.environ, **(environment or {})},
        )
    deadline = time.monotonic() + _READY_SECONDS
    while not process.alive(record):
        if child.poll() not in (None, 0) or time.monotonic() > deadline:
            tail = "\n".join(log.read_text(errors="replace").splitlines()[-_LAST_LINES:])
            raise LabError(f"{' '.join(argv)}\nis not ready; {log} ends with:\n{tail}")
        time.sleep(0.05)
