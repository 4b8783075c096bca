# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path
from typing import Dict, List, Optional

import pytest

from telechat_runtime.job.failure import Failure, FailureKind
from telechat_runtime.job.paths import JobPaths
from telechat_runtime.node.supervision import failure

MS_ERROR = "[ERROR] DISTRIBUTED(17,7f,python):2026-01-01-00:00:00.000.000 [meta_server_node.cc:111] Failed to register"
TORN_DOWN = "[ERROR] DISTRIBUTED(17,7f,python):2026-01-01-00:00:01.000.000 [tcp_client.cc:7] The connection is lost"


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        pytest.param([], "", id="nothing"),
        pytest.param(["epoch 1", "loss 2.0"], "", id="no-error"),
        pytest.param(["Traceback (most recent call last):", "  x = 1", "ValueError: bad", "bye"], "ValueError: bad"),
        pytest.param(["KeyError: 'a'", "RuntimeError: b"], "RuntimeError: b", id="the-last-exception-is-pythons"),
        pytest.param(
            ["RuntimeError: ", "", "-----", "- Kernel has no memory.", "-----", "- C++ Call Stack"],
            "RuntimeError: Kernel has no memory.",
            id="below-its-name",
        ),
        pytest.param(["mindspore.ops.OpError: no kernel"], "mindspore.ops.OpError: no kernel", id="dotted"),
        pytest.param([MS_ERROR, TORN_DOWN], TORN_DOWN, id="logged"),
        pytest.param(["ValueError: bad", TORN_DOWN], "ValueError: bad", id="an-exception-counts-more-than-a-log"),
        pytest.param(
            ["OSError: [Errno 28] No space left on device"], "OSError: [Errno 28] No space left on device", id="errno"
        ),
        pytest.param(
            ["[WARNING] Topology build timed out., retry(1/240)", "[WARNING] errno: 104"], "", id="healthy-start"
        ),
        pytest.param(
            ["run_mindformer.py: error: /data/x is missing"], "run_mindformer.py: error: /data/x is missing", id="entry"
        ),
        pytest.param(["overflow cond: False, no ERRORS"], "", id="a-word-that-only-looks-like-it"),
    ],
)
def test_reason_in(lines: List[str], reason: str) -> None:
    assert failure.reason_in(lines) == reason


def test_a_reason_is_one_line_of_bounded_length() -> None:
    assert len(failure.reason_in(["ValueError: " + "x" * 10_000])) == 400


@pytest.fixture
def paths(tmp_path: Path) -> JobPaths:
    paths = JobPaths(str(tmp_path), "job-1")
    Path(paths.logs).mkdir(parents=True)
    return paths


def write(paths: JobPaths, logs: Dict[str, str]) -> None:
    for name, text in logs.items():
        (Path(paths.logs) / name).write_text(text)


@pytest.mark.parametrize(
    ("log", "exit_code", "found", "reason"),
    [
        (
            "start\nValueError: bad\n",
            1,
            Failure(FailureKind.WORKER_EXIT, rank=3, exit_code=1, error="ValueError: bad"),
            "rank 3: ValueError: bad",
        ),
        (
            "start\npython3: can't open file\n\n",
            2,
            Failure(FailureKind.WORKER_EXIT, rank=3, exit_code=2, error="python3: can't open file"),
            "rank 3 ended with exit code 2; its log ends with: python3: can't open file",
        ),
        (
            "",
            7,
            Failure(FailureKind.WORKER_EXIT, rank=3, exit_code=7),
            "rank 3 ended with exit code 7; its log is empty",
        ),
        (
            "",
            None,
            Failure(FailureKind.WORKER_EXIT, rank=3),
            "rank 3 failed; its log is empty",
        ),
        (
            "loss 2.0\n",
            -9,
            Failure(FailureKind.WORKER_SIGNAL, rank=3, signal="SIGKILL"),
            "rank 3 was killed by SIGKILL",
        ),
        (
            "OSError: late\n",
            -15,
            Failure(FailureKind.WORKER_SIGNAL, rank=3, signal="SIGTERM", error="OSError: late"),
            "rank 3 was killed by SIGTERM; the last error in its log: OSError: late",
        ),
        (
            "",
            -99,
            Failure(FailureKind.WORKER_SIGNAL, rank=3, signal="signal 99"),
            "rank 3 was killed by signal 99",
        ),
    ],
)
def test_of_worker(paths: JobPaths, log: str, exit_code: Optional[int], found: Failure, reason: str) -> None:
    write(paths, {"worker_3.log": log})
    assert failure.of_worker(paths, 3, exit_code) == (found, reason)


@pytest.mark.parametrize(
    ("log", "exit_code", "found"),
    [
        ("", -9, Failure(FailureKind.SCHEDULER_SIGNAL, signal="SIGKILL")),
        ("", 3, Failure(FailureKind.SCHEDULER_EXIT, exit_code=3)),
        ("", None, Failure(FailureKind.SCHEDULER_EXIT)),
        # msrun kills a scheduler that has reported its error.
        ("RuntimeError: bind\n", -9, Failure(FailureKind.SCHEDULER_EXIT, error="RuntimeError: bind")),
    ],
)
def test_of_scheduler(paths: JobPaths, log: str, exit_code: Optional[int], found: Failure) -> None:
    write(paths, {"scheduler.log": log})
    assert failure.of_scheduler(paths, exit_code).failure == found


def test_a_log_that_is_not_there_is_no_obstacle(paths: JobPaths) -> None:
    assert failure.of_worker(paths, 3, 1).reason == "rank 3 ended with exit code 1; its log is empty"


MSRUN_NAMES_A_KILLED_WORKER = (
    "Worker process 77 exit with exception. Error code: -9.\nRuntimeError: Please check logs\n"
)
NO_MINDSPORE = "ModuleNotFoundError: No module named 'mindspore'"


@pytest.mark.parametrize(
    ("logs", "exit_code", "found", "reason"),
    [
        (
            {"scheduler.log": "RuntimeError: bind\n", "worker_0.log": "RuntimeError: lost\n"},
            1,
            Failure(FailureKind.SCHEDULER_EXIT, error="RuntimeError: bind"),
            "the scheduler: RuntimeError: bind",
        ),
        (
            {"worker_0.log": "fine\n", "worker_10.log": "KeyError: a\n", "worker_9.log": "KeyError: b\n"},
            1,
            Failure(FailureKind.WORKER_EXIT, rank=9, error="KeyError: b"),
            "rank 9: KeyError: b",
        ),
        (
            {"msrun.log": f"{NO_MINDSPORE}\n"},
            1,
            Failure(FailureKind.LAUNCHER_EXIT, exit_code=1, error=NO_MINDSPORE),
            f"msrun ended with exit code 1: {NO_MINDSPORE}",
        ),
        (
            {"msrun.log": MSRUN_NAMES_A_KILLED_WORKER},
            1,
            Failure(FailureKind.WORKER_SIGNAL, signal="SIGKILL"),
            "a worker was killed by SIGKILL",
        ),
        (
            {"msrun.log": "usage: msrun\n"},
            1,
            Failure(FailureKind.LAUNCHER_EXIT, exit_code=1, error="usage: msrun"),
            "msrun ended with exit code 1: usage: msrun",
        ),
        ({}, 1, Failure(FailureKind.LAUNCHER_EXIT, exit_code=1), "msrun ended with exit code 1"),
        ({}, None, Failure(FailureKind.LAUNCHER_EXIT), "msrun did not end"),
        ({}, -9, Failure(FailureKind.LAUNCHER_SIGNAL, signal="SIGKILL"), "msrun was killed by SIGKILL"),
    ],
)
def test_of_job_asks_from_the_top_down(
    paths: JobPaths, logs: Dict[str, str], exit_code: Optional[int], found: Failure, reason: str
) -> None:
    write(paths, logs)
    assert failure.of_job(paths, exit_code) == (found, reason)


def test_named_by_msrun(paths: JobPaths) -> None:
    line = "[ERROR] ME(1:2,MainProcess):2026-01-01 [_api.py:262] Worker process {} exit with exception.{}\n"
    scheduler = "[ERROR] ME(1:2,MainProcess):2026-01-01 [_api.py:382] Scheduler process 43 exit with exception.\n"
    write(paths, {"msrun.log": line.format(41, " Error code: -9.") + line.format(42, "") + scheduler})
    assert failure.named_by_msrun(paths) == {41: -9, 42: None, 43: None}


def test_tail_reads_the_end_of_a_log_only(paths: JobPaths) -> None:
    write(paths, {"worker_0.log": "ValueError: early\n" + "loss 2.0\n" * 20_000 + "the end\n"})
    lines = failure.tail(paths.worker_log(0))
    assert lines[-1] == "the end"
    assert "ValueError: early" not in lines
