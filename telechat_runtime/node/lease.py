# SPDX-License-Identifier: Apache-2.0
"""Who may use the node: a file that the job's supervisor keeps locked (flock) for its whole life.

The lock is the truth and the text only says whose it is: a lock goes with its process, whatever happens to that.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from typing import Any, Dict, NamedTuple, Optional

from telechat_runtime.errors import PreflightError
from telechat_runtime.job import JobPaths
from telechat_runtime.node.state import utc_now

# A reader locks (shared) for a moment to see whether anybody holds the lease.
_READERS_SECONDS = 1.0
_POLL_SECONDS = 0.02
_READABLE = 0o644


class LeaseLook(NamedTuple):
    """What the lease file says: `held` by a living supervisor, or `stale`, the record of one that is gone."""

    held: Optional[Dict[str, Any]]
    stale: Optional[Dict[str, Any]]


def take(paths: JobPaths, *, job_id: str, owner: str) -> int:
    """Lock the node for a job and return the descriptor that holds the lock; it lasts until all copies are closed.

    Raises:
        PreflightError: Another job holds the node; the message names it, its owner and since when.

    """
    lease = os.open(paths.lease, os.O_RDWR | os.O_CREAT, _READABLE)
    deadline = time.monotonic() + _READERS_SECONDS
    while True:
        try:
            fcntl.flock(lease, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except BlockingIOError:
            if time.monotonic() < deadline:
                time.sleep(_POLL_SECONDS)
                continue
            record = _parse(os.pread(lease, 4096, 0)) or {}
            os.close(lease)
            raise PreflightError(_busy(record), next_step="wait for it, or `telechat-run stop` it") from None
    text = json.dumps({"job_id": job_id, "owner": owner, "since": utc_now()}).encode()
    os.ftruncate(lease, 0)
    os.pwrite(lease, text, 0)
    return lease


def give_back(lease: int) -> None:
    """Unlock the node; the record goes first, so that no reader takes it for a stale one."""
    os.ftruncate(lease, 0)
    os.close(lease)


def look(paths: JobPaths) -> LeaseLook:
    """Tell who holds the node."""
    try:
        lease = os.open(paths.lease, os.O_RDONLY)
    except FileNotFoundError:
        return LeaseLook(held=None, stale=None)
    try:
        record = _parse(os.pread(lease, 4096, 0))
        try:
            fcntl.flock(lease, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return LeaseLook(held=record or {"job_id": "?", "owner": "?", "since": "?"}, stale=None)
        return LeaseLook(held=None, stale=record)
    finally:
        os.close(lease)


def _parse(text: bytes) -> Optional[Dict[str, Any]]:
    try:
        record = json.loads(text)
    except ValueError:
        return None
    return record if isinstance(record, dict) else None


def _busy(record: Dict[str, Any]) -> str:
    job, owner, since = (record.get(name, "unknown") for name in ("job_id", "owner", "since"))
    return f"busy: {owner} runs job {job} on it since {since}"
