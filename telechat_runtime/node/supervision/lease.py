# SPDX-License-Identifier: Apache-2.0
"""Who may use the node: a file that the job's supervisor keeps locked (flock) for its whole life.

The lock is the truth and the text only says whose it is: a lock goes with its process, whatever happens to that.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from typing import Any, Dict, Optional

from telechat_runtime.ascend import lease_file
from telechat_runtime.ascend.lease_file import LeaseLook
from telechat_runtime.errors import PreflightError
from telechat_runtime.job.paths import JobPaths
from telechat_runtime.node.supervision import processes

# A reader locks (shared) for a moment to see whether anybody holds the lease.
_READERS_SECONDS = 1.0
_POLL_SECONDS = 0.02
_READABLE = 0o644
_UNKNOWN = {"job_id": "unknown", "owner": "unknown", "since": "unknown"}


class Lease:
    """The node, locked for a job by this process and those that it leaves behind."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor: Optional[int] = descriptor

    def leave(self) -> None:
        """Let go of it here; whoever was forked with it holds it on."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def give_back(self) -> None:
        """Unlock the node, whoever was forked with the lease; once, however often this is called here."""
        if self._descriptor is not None:
            # The record goes first, so that no reader takes it for a stale one.
            os.ftruncate(self._descriptor, 0)
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)
            self.leave()


def take(paths: JobPaths, *, owner: str, since: str) -> Lease:
    """Lock the node for a job; the lock lasts until the lease is given back, or all who were forked with it have ended.

    Raises:
        PreflightError: Another job holds the node, or has lost its supervisor but still runs; the message names it,
            its owner and since when.

    """
    lease = os.open(paths.lease, os.O_RDWR | os.O_CREAT, _READABLE)
    try:
        _lock_or_refuse(lease)
        _refuse_leftovers(lease_file.read_record(lease))
        text = json.dumps({"job_id": paths.job_id, "owner": owner, "since": since}).encode()
        os.ftruncate(lease, 0)
        os.pwrite(lease, text, 0)
    except BaseException:
        os.close(lease)
        raise
    return Lease(lease)


def is_held(paths: JobPaths) -> bool:
    """Tell whether somebody, a start or a supervisor, holds the node for this job."""
    held = look(paths).held
    return held is not None and held.get("job_id") == paths.job_id


def clear(paths: JobPaths) -> None:
    """Remove the record of this job, unless somebody holds the node."""
    try:
        lease = os.open(paths.lease, os.O_RDWR)
    except FileNotFoundError:
        return
    try:
        if _lock(lease) and (lease_file.read_record(lease) or {}).get("job_id") == paths.job_id:
            os.ftruncate(lease, 0)
    finally:
        os.close(lease)


def look(paths: JobPaths) -> LeaseLook:
    """Return who holds the node."""
    found = lease_file.look(paths.lease)
    return found._replace(held=found.held or _UNKNOWN) if found.held is not None else found


def _lock_or_refuse(lease: int) -> None:
    if not _lock(lease):
        raise PreflightError(
            _busy(lease_file.holders_record(lease) or _UNKNOWN), next_step="wait for it, or `telechat-run stop` it"
        )


def _lock(lease: int) -> bool:
    deadline = time.monotonic() + _READERS_SECONDS
    while True:
        try:
            fcntl.flock(lease, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                return False
            time.sleep(_POLL_SECONDS)
        else:
            return True


def _refuse_leftovers(record: Optional[Dict[str, Any]]) -> None:
    """Raise PreflightError when the job of a stale record still has processes: they hold the NPUs."""
    left = processes.of_job(str(record.get("job_id"))) if record else []
    if record and left:
        job_id, owner = record.get("job_id"), record.get("owner")
        pids = ", ".join(str(process.identity.pid) for process in left)
        raise PreflightError(
            f"busy: job {job_id} of {owner} has lost its supervisor, but its processes still run: {pids}",
            next_step=f"`telechat-run stop {job_id}`",
        )


def _busy(record: Dict[str, Any]) -> str:
    return f"busy: {record.get('owner')} runs job {record.get('job_id')} on it since {record.get('since')}"
