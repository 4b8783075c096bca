# SPDX-License-Identifier: Apache-2.0
"""Why a node's part of a job ended, as a value.

Restarts, blame and exit codes rest on this value alone. The sentence beside it (`reason`) is for people.
"""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass, replace
from typing import Any, Dict, Mapping, Optional, Pattern, Tuple


class FailureKind(str, enum.Enum):
    """What ended a node's part of a job; the values are written to disk and sent between nodes."""

    WORKER_EXIT = "worker_exit"
    WORKER_SIGNAL = "worker_signal"
    SCHEDULER_EXIT = "scheduler_exit"
    SCHEDULER_SIGNAL = "scheduler_signal"
    LAUNCHER_EXIT = "launcher_exit"
    LAUNCHER_SIGNAL = "launcher_signal"
    HANG = "hang"
    DISK_FULL = "disk_full"
    START_FAILED = "start_failed"
    NODE_LOST = "node_lost"
    SUPERVISOR_LOST = "supervisor_lost"
    CONTAINER_STOPPED = "container_stopped"
    UNREACHABLE = "unreachable"
    STOPPED_BY_USER = "stopped_by_user"
    PEER = "peer"
    UNKNOWN = "unknown"

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True)
class Failure:
    """The cause of an end, with what is known of it.

    `signal` is a name such as SIGKILL. `node` is the node that ended first, or was lost, when this one only follows it
    (PEER, NODE_LOST).
    `error` quotes another program: the last error in the log of the process that failed, or the system's message.
    """

    kind: FailureKind
    rank: Optional[int] = None
    signal: Optional[str] = None
    exit_code: Optional[int] = None
    node: Optional[str] = None
    error: str = ""

    def as_dict(self) -> Dict[str, Any]:
        """Return the failure as data."""
        return {**vars(self), "kind": str(self.kind)}


def failure_data(failure: Optional[Failure]) -> Optional[Dict[str, Any]]:
    """Return a failure as the data that `failure_of` reads; None when nothing failed."""
    return failure.as_dict() if failure else None


def failure_of(document: Mapping[str, Any]) -> Optional[Failure]:
    """Return the failure in a state, an event, a stop answer or a peer's message; None when nothing failed.

    A document without the field, or with an empty one, comes from 0.1. Raises ValueError for one of another shape.
    """
    found = document.get("failure", {})
    if found == {}:
        return _failure_in_0_1(document)
    if found is None:
        return None
    if not isinstance(found, Mapping):
        raise ValueError(f"failure is {found!r}, not an object")  # noqa: TRY004 - it came from another process
    return Failure(
        kind=_kind(found.get("kind")),
        rank=_checked(found, "rank", int),
        signal=_checked(found, "signal", str),
        exit_code=_checked(found, "exit_code", int),
        node=_checked(found, "node", str),
        error=_checked(found, "error", str) or "",
    )


def _kind(value: object) -> FailureKind:
    try:
        return FailureKind(value)
    except ValueError:
        return FailureKind.UNKNOWN  # a newer version may know more kinds


def _checked(found: Mapping[str, Any], name: str, wanted: type) -> Any:
    value = found.get(name)
    if value is not None and (not isinstance(value, wanted) or isinstance(value, bool)):
        raise ValueError(f"failure.{name} is {value!r}")
    return value


# Frozen: the sentences of 0.1, which wrote no kind. Jobs that it started are still watched, restarted and blamed by
# them. Nothing else may depend on the wording of a sentence; new sentences do not belong here.
_SIGNAL_IN_0_1 = r"(?P<signal>SIG\w+|signal \d+)"
_SENTENCES_OF_0_1: Tuple[Tuple[Pattern[str], FailureKind], ...] = tuple(
    (re.compile(pattern, re.DOTALL), kind)
    for pattern, kind in (
        (rf"rank \d+ was killed by {_SIGNAL_IN_0_1}(?:; the last error in its log: (?P<error>.*))?", "worker_signal"),
        (rf"a worker was killed by {_SIGNAL_IN_0_1}", "worker_signal"),
        (r"rank \d+ ended with exit code (?P<code>\d+); its log (?:ends with: (?P<error>.*)|is empty)", "worker_exit"),
        (r"rank \d+: (?P<error>.*)", "worker_exit"),
        (rf"the scheduler: killed by {_SIGNAL_IN_0_1}", "scheduler_signal"),
        (r"the scheduler: ended with exit code (?P<code>\d+)", "scheduler_exit"),
        (r"the scheduler: (?P<error>.*)", "scheduler_exit"),
        (rf"msrun was killed by {_SIGNAL_IN_0_1}(?:: (?P<error>.*))?", "launcher_signal"),
        (r"msrun (?:did not end|ended with exit code (?P<code>\d+))(?:: (?P<error>.*))?", "launcher_exit"),
        (r"hangs: no step for .*", "hang"),
        (r"(?:has given )?no sign of life for .*|has not joined the job for .*", "node_lost"),
        (r"its supervisor (?:is gone: .*|was killed|was gone; .*)", "supervisor_lost"),
        (r"stopped on request(?: of .*)?", "stopped_by_user"),
        (r".* can't be started: (?P<error>.*)", "start_failed"),
        (r"the other nodes can't be heard on .*?:\d+: (?P<error>.*)", "start_failed"),
        (r"the job folder can't be (?:made|written): (?P<error>.*)", "start_failed"),
        (r"its supervisor did not answer", "start_failed"),
    )
    for kind in (FailureKind(kind),)
)
_DISK_FULL_IN_0_1 = re.compile(r"(?P<rest>.*); No space left on device: /[^;\n]*", re.DOTALL)


def _failure_in_0_1(document: Mapping[str, Any]) -> Optional[Failure]:
    """Return the failure that a document of 0.1 tells in its sentence alone."""
    reason, rank, cause = (document.get(name) for name in ("reason", "failed_rank", "cause"))
    if not isinstance(reason, str) or not reason:
        return None
    if isinstance(cause, str) and cause:
        is_lost = _failure_of_0_1(reason[len(cause) + 1 :]).kind is FailureKind.NODE_LOST
        return Failure(FailureKind.NODE_LOST if is_lost else FailureKind.PEER, node=cause)
    full = _DISK_FULL_IN_0_1.fullmatch(reason)
    failure = replace(_failure_of_0_1(full["rest"] if full else reason), rank=rank if isinstance(rank, int) else None)
    return replace(failure, kind=FailureKind.DISK_FULL) if full else failure


def _failure_of_0_1(sentence: str) -> Failure:
    for pattern, kind in _SENTENCES_OF_0_1:
        match = pattern.fullmatch(sentence)
        if match:
            found = match.groupdict()
            code = found.get("code")
            return Failure(
                kind,
                signal=found.get("signal"),
                exit_code=int(code) if code else None,
                error=found.get("error") or "",
            )
    return Failure(FailureKind.UNKNOWN, error=sentence)
