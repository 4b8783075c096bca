# SPDX-License-Identifier: Apache-2.0
"""Which worker of this node failed first, and the line of its log that says why."""

from __future__ import annotations

import os
import re
import signal
from typing import Iterable, List, Mapping, NamedTuple, Optional, Tuple

from telechat_runtime.job import JobPaths

_TAIL_BYTES = 64 * 1024
_REASON_LENGTH = 400
# msrun's own words (mindspore/parallel/cluster/process_entity/_api.py, 2.4 to 2.7).
_NAMED_BY_MSRUN = re.compile(r"Worker process (\d+) exit with exception(?:\. Error code: (-?\d+))?")
# A Python exception's last line, whole or after a logger's prefix.
_EXCEPTION = re.compile(r"^(?:[A-Za-z_]\w*\.)*[A-Z]\w*(?:Error|Exception|Interrupt|Exit)\b.*")
_LOGGED_ERROR = re.compile(r"\[(?:ERROR|CRITICAL)\]|\bERROR\b|\bCRITICAL\b")
# A healthy start and a healthy end log these too.
_HARMLESS = re.compile(r"Topology build timed out|errno", re.IGNORECASE)


class Failure(NamedTuple):
    """The first failing rank of this node, if it can be told, and its reason."""

    rank: Optional[int]
    reason: str


def diagnose(paths: JobPaths, ranks: Mapping[int, int], *, crashed: Optional[int]) -> Failure:
    """Return the failure; `ranks` are the workers' ranks by pid, `crashed` one that was seen to end badly."""
    named, exit_code = _named_by_msrun(paths, ranks)
    rank = crashed if crashed is not None else named
    candidates = [rank] if rank is not None else sorted(_ranks_with_logs(paths))
    for candidate in candidates:
        reason = reason_in(tail(paths.worker_log(candidate)))
        if reason:
            return Failure(rank=candidate, reason=f"rank {candidate}: {reason}")
    if rank is not None:
        return Failure(rank=rank, reason=f"rank {rank} {_end(exit_code)} without a word in its log")
    return Failure(rank=None, reason=reason_in(tail(os.path.join(paths.logs, "msrun.log"))))


def reason_in(lines: Iterable[str]) -> str:
    """Return the line that says most about a failure: the last exception, else the last logged error; or nothing."""
    exception = logged = ""
    for line in lines:
        text = line.strip()
        if not text or _HARMLESS.search(text):
            continue
        if _EXCEPTION.match(text):
            exception = text
        elif _LOGGED_ERROR.search(text):
            logged = text
    return (exception or logged)[:_REASON_LENGTH]


def tail(path: str) -> List[str]:
    """Return the last lines of a file, at most 64 KiB; none when it can't be read."""
    try:
        with open(path, "rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - _TAIL_BYTES))
            return file.read().decode("utf-8", "replace").splitlines()
    except OSError:
        return []


def _named_by_msrun(paths: JobPaths, ranks: Mapping[int, int]) -> Tuple[Optional[int], Optional[int]]:
    """Return the rank that msrun saw fail first, and its exit code (negative: the signal's number)."""
    for line in tail(os.path.join(paths.logs, "msrun.log")):
        named = _NAMED_BY_MSRUN.search(line)
        if named and int(named[1]) in ranks:
            return ranks[int(named[1])], int(named[2]) if named[2] else None
    return None, None


def _end(exit_code: Optional[int]) -> str:
    if exit_code is None:
        return "ended"
    if exit_code >= 0:
        return f"ended with exit code {exit_code}"
    try:
        return f"was killed by {signal.Signals(-exit_code).name}"
    except ValueError:
        return f"was killed by signal {-exit_code}"


def _ranks_with_logs(paths: JobPaths) -> List[int]:
    found = (re.fullmatch(r"worker_(\d+)\.log", name) for name in os.listdir(paths.logs))
    return [int(match[1]) for match in found if match]
