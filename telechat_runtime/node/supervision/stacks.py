# SPDX-License-Identifier: Apache-2.0
"""Where a job's workers stand when they go on no more: py-spy's view of each, or their own last words.

py-spy reads a process from outside, if the node has it and the kernel lets it. Python's faulthandler, which every
worker has on (PYTHONFAULTHANDLER), needs neither: SIGABRT makes a worker write its stacks into its log, and ends it.
"""

from __future__ import annotations

import contextlib
import os
import resource
import shutil
import signal
import subprocess
from concurrent.futures import ThreadPoolExecutor
from typing import List, Optional

from telechat_runtime.ascend.processes import is_alive
from telechat_runtime.job.paths import JobPaths
from telechat_runtime.node.supervision.processes import JobProcess, of_job, wait_gone
from telechat_runtime.node.tool import ask_tool

FOLDER = "stacks"
_SECONDS = 20.0
_REPORT_SECONDS = 5.0
_AT_ONCE = 8


def collect(paths: JobPaths, search_path: str) -> List[str]:
    """Write the stacks of this node's workers; return a line for each that says where they are.

    A worker that py-spy can't read is ended by its own report.
    """
    workers = sorted(
        (process for process in of_job(paths.job_id) if process.rank is not None), key=lambda worker: worker.rank or 0
    )
    program = shutil.which("py-spy", path=search_path)
    with ThreadPoolExecutor(max_workers=_AT_ONCE) as pool:
        return list(pool.map(lambda worker: _collect(paths, worker, program), workers))


def _collect(paths: JobPaths, worker: JobProcess, program: Optional[str]) -> str:
    text = _ask(program, worker.identity.pid) if program else None
    if text:
        name = os.path.join(paths.logs, FOLDER, f"worker_{worker.rank}.txt")
        with contextlib.suppress(OSError):
            os.makedirs(os.path.dirname(name), exist_ok=True)
            with open(name, "w", encoding="utf-8") as file:
                file.write(text)
            return f"the stacks of rank {worker.rank} are in {name}"
    _let_report(worker)
    return f"rank {worker.rank} was told to write its stacks into {paths.worker_log(worker.rank or 0)}"


def _ask(program: str, pid: int) -> Optional[str]:
    try:
        done = ask_tool([program, "dump", "--pid", str(pid)], seconds=_SECONDS)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout if done.returncode == 0 else None


def _let_report(worker: JobProcess) -> None:
    with contextlib.suppress(OSError, ValueError):
        if is_alive(worker.identity):
            # A limit of one byte, not of none: the kernel takes it as "no core dump" for files and pipes alike
            # (core(5)), and the core of a worker has all of its memory.
            resource.prlimit(worker.identity.pid, resource.RLIMIT_CORE, (1, 1))
            os.kill(worker.identity.pid, signal.SIGABRT)
            # The next signal would end it in the middle of its report.
            wait_gone(worker.identity, _REPORT_SECONDS)
