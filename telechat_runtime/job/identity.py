# SPDX-License-Identifier: Apache-2.0
"""The id of a new job, and who starts it."""

from __future__ import annotations

import getpass
import secrets
import socket
import time


def new_job_id(job_name: str) -> str:
    """Return a job id that no other job has: name, time (UTC) and six random hex digits."""
    return f"{job_name}-{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}-{secrets.token_hex(3)}"


def whoami() -> str:
    """Return who starts a job, as `user@control host`: the name that a refused colleague reads."""
    return f"{getpass.getuser()}@{socket.gethostname()}"
