# SPDX-License-Identifier: Apache-2.0
"""Who runs a job on this node: the lease is a file that the job's supervisor keeps locked for its whole life."""

from __future__ import annotations

import fcntl
import json
import os
from typing import Any, Dict, Optional


def lease(job_root: str) -> Optional[Dict[str, Any]]:
    """Return the lease that a job holds on this node: job_id, owner, since, …; None when none does.

    The lock is what counts: the text of an ended job's lease may still be there. Empty when it can't be read.
    """
    path = os.path.join(os.path.expanduser(job_root), "lease.json")
    try:
        stream = open(path, "rb")  # noqa: SIM115 - closed by the with statement below
    except OSError:
        return None
    with stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return _content(stream.read().decode("utf-8", "replace"))
    return None


def holder(job_root: str) -> Optional[str]:
    """Return who holds the node's lease, as ``job 7 of lin since …``; None when nobody does."""
    held = lease(job_root)
    if held is None:
        return None
    if not held:
        return "a job whose lease cannot be read"
    return "job {} of {} since {}".format(
        held.get("job_id", "?"), held.get("owner", "an unknown owner"), held.get("since", "an unknown time")
    )


def _content(text: str) -> Dict[str, Any]:
    try:
        content = json.loads(text)
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}
