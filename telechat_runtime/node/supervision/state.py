# SPDX-License-Identifier: Apache-2.0
"""The job's state on this node: one JSON file, replaced as a whole, written by the supervisor alone while it lives."""

from __future__ import annotations

import errno
import json
import os
import time
from dataclasses import dataclass, field, fields, replace
from typing import Any, Dict, Optional, Tuple

from telechat_runtime.ascend.atomic_file import replace_file
from telechat_runtime.ascend.processes import Identity
from telechat_runtime.ascend.schema import UPGRADE_RUNTIME, NewerSchemaError, check_schema
from telechat_runtime.errors import PreflightError, UsageError
from telechat_runtime.job import schemas
from telechat_runtime.job.failure import Failure, FailureKind, failure_data, failure_of
from telechat_runtime.job.paths import JobPaths
from telechat_runtime.job.state import JobState
from telechat_runtime.node.supervision import lease

_PRIVATE = 0o600
_DISK_IS_FULL = (errno.ENOSPC, errno.EDQUOT)
# For a few states: each is written beside the one before, and takes a block or two.
RESERVE_BYTES = 64 * 1024
_LOST = "its supervisor is gone: it was killed, or the container or node went down"


@dataclass(frozen=True)
class NodeJob:
    """What is known of a job on this node; times are ISO 8601 in UTC, `exit_code` is msrun's.

    `supervisor` is who answers for the job: `node start` itself until it has left a supervisor behind. `failure` is why
    it ended, `reason` says so to people; `failed_rank` and `cause` are its rank and node, as 0.1 reads them.
    """

    job_id: str
    kind: str
    owner: str
    state: JobState
    started: str
    ended: Optional[str] = None
    exit_code: Optional[int] = None
    reason: str = ""
    failed_rank: Optional[int] = None
    cause: str = ""
    failure: Optional[Failure] = None
    heartbeat: float = 0.0
    supervisor: Optional[Identity] = None
    processes: Tuple[Dict[str, Any], ...] = ()
    ended_pids: Tuple[int, ...] = field(default=())
    left_pids: Tuple[int, ...] = field(default=())

    def becoming(self, state: JobState, **changes: Any) -> NodeJob:
        """Return the job in its next state. Raises ValueError for a transition that docs/node.md does not draw."""
        if not self.state.may_become(state):
            raise ValueError(f"a job that is {self.state} can't become {state}")
        if state.is_terminal:
            changes.setdefault("ended", utc_now())
        failure = changes.get("failure")
        if failure is not None:
            changes.update(failed_rank=failure.rank, cause=failure.node or "")
        return replace(self, state=state, **changes)

    def as_event(self) -> Dict[str, Any]:
        """Return the state event of `node watch`."""
        return {
            "event": "state",
            "state": str(self.state),
            "exit_code": self.exit_code,
            "reason": self.reason,
            "failed_rank": self.failed_rank,
            "cause": self.cause,
            "failure": failure_data(self.failure),
        }


def utc_now() -> str:
    """Return the time of day in UTC, to the second."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def job_paths(request: Dict[str, Any], job_id: str) -> JobPaths:
    """Return the paths of a job that the request names by root and id; `~` is this user's home."""
    root = request.get("job_root")
    if not isinstance(root, str) or not root:
        raise UsageError("the request has no job_root")
    return JobPaths(os.path.abspath(os.path.expanduser(root)), job_id)


def write_state(paths: JobPaths, job: NodeJob) -> None:
    """Replace the job's state file; on a full disk the reserve makes room, but only for how the job ended."""
    document: Dict[str, Any] = {"schema": schemas.STATE, **vars(job)}
    document["state"] = str(job.state)
    document["supervisor"] = job.supervisor.as_dict() if job.supervisor else None
    document["failure"] = failure_data(job.failure)
    text = json.dumps(document)
    try:
        replace_file(paths.state, text)
    except OSError as error:
        # A state of a running job is written again in seconds; what fills the disk would take the room meanwhile.
        is_spent = error.errno in _DISK_IS_FULL and job.state.is_terminal and _spend_reserve(paths)
        if not is_spent:
            raise
        replace_file(paths.state, text)


def lay_reserve(paths: JobPaths) -> None:
    """Keep room for the job's last states, for the time when its disk is full."""
    with open(paths.reserve, "wb") as file:
        os.posix_fallocate(file.fileno(), 0, RESERVE_BYTES)


def _spend_reserve(paths: JobPaths) -> bool:
    """Free the room that was kept; tell whether there was any."""
    try:
        os.unlink(paths.reserve)
    except FileNotFoundError:
        return False
    return True


def read_state(paths: JobPaths) -> NodeJob:
    """Return the job's state: LOST when it says running but nobody holds the node for it.

    Raises:
        PreflightError: There is no such job on this node, or its state can't be read.

    """
    job = load_state(paths)
    while not job.state.is_terminal and not lease.is_held(paths):
        # Between the read and the look it may have written its last state and gone.
        again = load_state(paths)
        if again == job:
            return replace(job, state=JobState.LOST, reason=_LOST, failure=Failure(FailureKind.SUPERVISOR_LOST))
        job = again
    return job


def load_state(paths: JobPaths) -> NodeJob:
    """Return the job's state as its file has it, whoever holds the node. Raises PreflightError as read_state does."""
    document: Any = None
    try:
        with open(paths.state, encoding="utf-8") as file:
            document = json.load(file)
        return _parse(document)
    except FileNotFoundError as error:
        raise PreflightError(
            f"no job {paths.job_id} in {paths.job_root}", next_step="list the jobs with `telechat-run status`"
        ) from error
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise _unreadable(paths, document, error) from error


def _unreadable(paths: JobPaths, document: Any, error: Exception) -> PreflightError:
    # A higher number alone forbids nothing: a job can be stopped whatever else a newer supervisor writes.
    try:
        check_schema(document if isinstance(document, dict) else {}, schemas.STATE, paths.state)
    except NewerSchemaError as newer:
        return PreflightError(f"the state of job {paths.job_id} can't be read: {newer}", next_step=UPGRADE_RUNTIME)
    return PreflightError(f"the state of job {paths.job_id} can't be read: {paths.state}: {error}")


def _parse(document: Dict[str, Any]) -> NodeJob:
    supervisor = document.get("supervisor")
    known = {field.name for field in fields(NodeJob)}  # a newer version may write more
    values = {
        **{name: value for name, value in document.items() if name in known},
        "state": JobState(document["state"]),
        "supervisor": Identity(**supervisor) if supervisor else None,
        "failure": failure_of(document),
    }
    for name in ("processes", "ended_pids", "left_pids"):
        values[name] = tuple(document.get(name, ()))
    return NodeJob(**values)


def write_private_file(path: str, text: str) -> None:
    """Replace a file that only its owner may read: a plan's environment may hold a secret."""
    replace_file(path, text, mode=_PRIVATE)
