# SPDX-License-Identifier: Apache-2.0
"""Who runs a job on this node: the lease is a file that the job's supervisor keeps locked for its whole life."""

from __future__ import annotations

import fcntl
import json
import os
from typing import Optional


def holder(job_root: str) -> Optional[str]:
    """Return who holds the node's lease, as ``job 7 of lin since …``; None when nobody does.

    The lock is what counts: the text of an ended job's lease may still be there.
    """
    path = os.path.join(os.path.expanduser(job_root), "lease.json")
    try:
        lease = open(path, "rb")  # noqa: SIM115 - closed by the with statement below
    except OSError:
        return None
    with lease:
        try:
            fcntl.flock(lease, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return _describe(lease.read().decode("utf-8", "replace"))
    return None


def _describe(text: str) -> str:
    try:
        lease = json.loads(text)
    except ValueError:
        lease = {}
    if not isinstance(lease, dict) or not lease:
        return "a job whose lease cannot be read"
    return "job {} of {} since {}".format(
        lease.get("job_id", "?"), lease.get("owner", "an unknown owner"), lease.get("since", "an unknown time")
    )
