# SPDX-License-Identifier: Apache-2.0
"""Why a job failed on this node: which process, how it ended, and the last error in its log."""

from __future__ import annotations

import os
import re
import signal
from typing import Dict, Iterable, List, NamedTuple, Optional

from telechat_runtime.job.failure import Failure, FailureKind
from telechat_runtime.job.paths import JobPaths

_TAIL_BYTES = 64 * 1024
_REASON_LENGTH = 400
# msrun's own words (mindspore/parallel/cluster/process_entity/_api.py, 2.4 to 2.7).
_NAMED_BY_MSRUN = re.compile(r"(?:Worker|Scheduler) process (\d+) exit with exception(?:\. Error code: (-?\d+))?")
# A Python exception's last line.
_EXCEPTION = re.compile(r"^(?:[A-Za-z_]\w*\.)*[A-Z]\w*(?:Error|Exception|Interrupt|Exit)\b.*")
_LOGGED_ERROR = re.compile(r"\b(?:ERROR|CRITICAL)\b|: error: ")


class Diagnosis(NamedTuple):
    """Why a job failed: the value that decisions rest on, and the sentence for people."""

    failure: Failure
    reason: str


def of_worker(paths: JobPaths, rank: int, exit_code: Optional[int]) -> Diagnosis:
    """Return why this worker failed; a negative exit code is a signal's number, None an unknown one."""
    lines = tail(paths.worker_log(rank))
    error = reason_in(lines)
    if exit_code is not None and exit_code < 0:
        name = _signal_name(-exit_code)
        last = f"; the last error in its log: {error}" if error else ""
        failure = Failure(FailureKind.WORKER_SIGNAL, rank=rank, signal=name, error=error)
        return Diagnosis(failure, f"rank {rank} was killed by {name}{last}")
    if error:
        failure = Failure(FailureKind.WORKER_EXIT, rank=rank, exit_code=exit_code, error=error)
        return Diagnosis(failure, f"rank {rank}: {error}")
    last = last_line(lines)
    end = f"its log ends with: {last}" if last else "its log is empty"
    failure = Failure(FailureKind.WORKER_EXIT, rank=rank, exit_code=exit_code, error=last)
    return Diagnosis(failure, f"rank {rank} {_ended_with(exit_code)}; {end}")


def of_scheduler(paths: JobPaths, exit_code: Optional[int]) -> Diagnosis:
    """Return why the scheduler failed; what it logged says more than the signal by which msrun ended it then.

    A negative exit code is a signal's number, None an unknown one.
    """
    logged = _logged_by_scheduler(paths)
    if logged is not None:
        return logged
    if exit_code is not None and exit_code < 0:
        name = _signal_name(-exit_code)
        return Diagnosis(Failure(FailureKind.SCHEDULER_SIGNAL, signal=name), f"the scheduler: killed by {name}")
    failure = Failure(FailureKind.SCHEDULER_EXIT, exit_code=exit_code)
    return Diagnosis(failure, f"the scheduler: {_ended_with(exit_code)}")


def of_job(paths: JobPaths, exit_code: Optional[int]) -> Diagnosis:
    """Return why the job failed when no process of it was seen to fail: whoever complains, from the top down."""
    logged = _logged_by_scheduler(paths)
    if logged is not None:
        return logged
    for rank in ranks_with_logs(paths):
        error = reason_in(tail(paths.worker_log(rank)))
        if error:
            return Diagnosis(Failure(FailureKind.WORKER_EXIT, rank=rank, error=error), f"rank {rank}: {error}")
    # A worker that was over before anybody looked: msrun logs its exit code, but not its rank.
    killed = next((code for code in named_by_msrun(paths).values() if code is not None and code < 0), None)
    if killed is not None:
        name = _signal_name(-killed)
        return Diagnosis(Failure(FailureKind.WORKER_SIGNAL, signal=name), f"a worker was killed by {name}")
    return _of_msrun(paths, exit_code)


def _logged_by_scheduler(paths: JobPaths) -> Optional[Diagnosis]:
    error = reason_in(tail(_scheduler_log(paths)))
    return Diagnosis(Failure(FailureKind.SCHEDULER_EXIT, error=error), f"the scheduler: {error}") if error else None


def _of_msrun(paths: JobPaths, exit_code: Optional[int]) -> Diagnosis:
    lines = tail(_msrun_log(paths))
    error = reason_in(lines) or last_line(lines)
    if exit_code is not None and exit_code < 0:
        name = _signal_name(-exit_code)
        failure, end = Failure(FailureKind.LAUNCHER_SIGNAL, signal=name, error=error), f"was killed by {name}"
    else:
        end = "did not end" if exit_code is None else f"ended with exit code {exit_code}"
        failure = Failure(FailureKind.LAUNCHER_EXIT, exit_code=exit_code, error=error)
    return Diagnosis(failure, f"msrun {end}{': ' if error else ''}{error}")


def reason_in(lines: Iterable[str]) -> str:
    """Return what says most about a failure: the last exception, else the last logged error; or nothing.

    MindSpore's exceptions often say what they have to say on the lines after their name, below a line of dashes.
    """
    exception = logged = ""
    goes_on = False
    for line in lines:
        text = line.strip()
        if _EXCEPTION.match(text):
            exception, goes_on = text, text.endswith(":")
        elif goes_on:
            words = text.strip("- ")
            exception, goes_on = f"{exception} {words}".rstrip(), not words
        elif _LOGGED_ERROR.search(text):
            logged = text
    return (exception or logged)[:_REASON_LENGTH]


def last_line(lines: Iterable[str]) -> str:
    """Return the last line that is not blank, or nothing."""
    return next((line.strip()[:_REASON_LENGTH] for line in reversed(list(lines)) if line.strip()), "")


def named_by_msrun(paths: JobPaths) -> Dict[int, Optional[int]]:
    """Return the exit codes, by pid, of the workers and the scheduler that msrun saw fail; None where it logs none.

    It logs none of a scheduler, and in older releases none of a worker.
    """
    named = (_NAMED_BY_MSRUN.search(line) for line in tail(_msrun_log(paths)))
    return {int(match[1]): int(match[2]) if match[2] else None for match in named if match}


def ranks_with_logs(paths: JobPaths) -> List[int]:
    """Return the ranks that have a log on this node, in order."""
    found = (re.fullmatch(r"worker_(\d+)\.log", name) for name in os.listdir(paths.logs))
    return sorted(int(match[1]) for match in found if match)


def tail(path: str) -> List[str]:
    """Return the last lines of a file, at most 64 KiB; none when it can't be read."""
    try:
        with open(path, "rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - _TAIL_BYTES))
            return file.read().decode("utf-8", "replace").splitlines()
    except OSError:
        return []


def _scheduler_log(paths: JobPaths) -> str:
    return os.path.join(paths.logs, "scheduler.log")


def _msrun_log(paths: JobPaths) -> str:
    return os.path.join(paths.logs, "msrun.log")


def _ended_with(exit_code: Optional[int]) -> str:
    return "failed" if exit_code is None else f"ended with exit code {exit_code}"


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
