# SPDX-License-Identifier: Apache-2.0
"""Who holds a node: the lease is a file that a job's supervisor keeps locked (flock) for its whole life.

The lock is the truth and the text only says whose it is: a lock goes with its process, whatever happens to that.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from typing import Any, Dict, NamedTuple, Optional

NAME = "lease.json"
# Who has just locked the node writes the record a moment later.
_WRITE_SECONDS = 1.0
_POLL_SECONDS = 0.02
_RECORD_BYTES = 4096


class LeaseLook(NamedTuple):
    """What the lease file says: `held` by a living supervisor, or `stale`, the record of one that is gone.

    A record has job_id, owner and since; that of a holder is empty when it can't be read.
    """

    held: Optional[Dict[str, Any]]
    stale: Optional[Dict[str, Any]]


def look(path: str) -> LeaseLook:
    """Return who holds the node. Raises OSError when the file is there and can't be opened."""
    try:
        lease = os.open(path, os.O_RDONLY)
    except (FileNotFoundError, NotADirectoryError):
        return LeaseLook(held=None, stale=None)
    try:
        # The lock comes first: the record read before it could be that of a job which has ended in between.
        fcntl.flock(lease, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return LeaseLook(held=None, stale=read_record(lease))
    except BlockingIOError:
        return LeaseLook(held=holders_record(lease), stale=None)
    finally:
        os.close(lease)


def holder(job_root: str) -> Optional[str]:
    """Return who holds the node of this job root, as `job 7 of lin since …`; None when nobody does."""
    try:
        held = look(os.path.join(os.path.expanduser(job_root), NAME)).held
    except OSError as error:
        return f"a job whose lease can't be opened ({error.strerror})"
    if held is None:
        return None
    if not held:
        return "a job whose lease can't be read"
    job, owner = held.get("job_id", "?"), held.get("owner", "an unknown owner")
    return f"job {job} of {owner} since {held.get('since', 'an unknown time')}"


def holders_record(lease: int) -> Dict[str, Any]:
    """Return the record in a locked lease file, empty when there is none yet after a second."""
    deadline = time.monotonic() + _WRITE_SECONDS
    record = read_record(lease)
    while record is None and time.monotonic() < deadline:
        time.sleep(_POLL_SECONDS)
        record = read_record(lease)
    return record or {}


def read_record(lease: int) -> Optional[Dict[str, Any]]:
    """Return the record in an open lease file; None when there is none."""
    try:
        record = json.loads(os.pread(lease, _RECORD_BYTES, 0).decode("utf-8", "replace"))
    except ValueError:
        return None
    return record if isinstance(record, dict) else None
