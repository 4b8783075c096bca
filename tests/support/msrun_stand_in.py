# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: T201 - msrun speaks on stdout
"""Behaves as msrun of MindSpore 2.7 towards its caller and its workers; it knows no training.

A copy named `msrun`, first in a job's PATH, is what the supervisor starts. As msrun does, it gives each worker a
session of its own, polls them, kills the others after one has failed, names that one, and leaves its workers alone
when it gets a SIGTERM.

MSRUN_WAITS_IN_ORDER=1: as older msrun, waits for one worker after the other.
MSRUN_POLL_SECONDS=<seconds>: looks at its workers that rarely; msrun itself does once a second.
MSRUN_SCHEDULER=<shell command>: runs it as the scheduler (MS_ROLE=MS_SCHED) and waits for it at the end.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

_POLL_SECONDS = float(os.environ.get("MSRUN_POLL_SECONDS", "0.05"))


def main() -> int:
    options = _options()
    environment = {**os.environ, "MS_WORKER_NUM": str(options.worker_num)}
    scheduler = _start_scheduler(options, environment)
    workers = [_start_worker(options, environment, local_rank) for local_rank in range(options.local_worker_num)]
    wait = _wait_in_order if os.environ.get("MSRUN_WAITS_IN_ORDER") else _wait_for_any
    failed = wait(workers)
    if failed:
        for worker in workers:
            if worker.poll() is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(worker.pid, signal.SIGKILL)
    if scheduler is not None and scheduler.wait():
        print(f"Scheduler process {scheduler.pid} exit with exception.", flush=True)
        failed = True
    if failed:
        print("RuntimeError: Distributed job exited with exception. Please check logs.", flush=True)
    return int(failed)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--worker_num", type=int, required=True)
    parser.add_argument("--local_worker_num", type=int, required=True)
    parser.add_argument("--node_rank", type=int, default=0)
    parser.add_argument("--log_dir", required=True)
    parser.add_argument("--join", required=True)
    parser.add_argument("--master_addr")
    parser.add_argument("--master_port")
    parser.add_argument("--cluster_time_out")
    parser.add_argument("--tail_worker_log")
    parser.add_argument("program", nargs=argparse.REMAINDER)
    return parser.parse_args()


def _start_scheduler(options: argparse.Namespace, environment: dict[str, str]) -> subprocess.Popen[bytes] | None:
    command = os.environ.get("MSRUN_SCHEDULER")
    if command is None:
        return None
    with (Path(options.log_dir) / "scheduler.log").open("wb") as log:
        return subprocess.Popen(
            ["sh", "-c", command], env={**environment, "MS_ROLE": "MS_SCHED"}, stdout=log, stderr=subprocess.STDOUT
        )


def _start_worker(options: argparse.Namespace, environment: dict[str, str], local_rank: int) -> subprocess.Popen[bytes]:
    rank = options.node_rank * options.local_worker_num + local_rank
    own = {"MS_ROLE": "MS_WORKER", "RANK_ID": str(rank), "MS_NODE_ID": str(rank), "DEVICE_ID": str(local_rank)}
    print(f"Start worker process with rank id:{rank}.", flush=True)
    with (Path(options.log_dir) / f"worker_{rank}.log").open("wb") as log:
        return subprocess.Popen(
            options.program, env={**environment, **own}, start_new_session=True, stdout=log, stderr=subprocess.STDOUT
        )


def _wait_for_any(workers: list[subprocess.Popen[bytes]]) -> bool:
    while True:
        codes = [worker.poll() for worker in workers]
        for worker, code in zip(workers, codes, strict=True):
            if code:
                print(f"Worker process {worker.pid} exit with exception. Error code: {code}.", flush=True)
                return True
        if all(code == 0 for code in codes):
            return False
        time.sleep(_POLL_SECONDS)


def _wait_in_order(workers: list[subprocess.Popen[bytes]]) -> bool:
    return any(worker.wait() for worker in workers)


if __name__ == "__main__":
    sys.exit(main())
