# SPDX-License-Identifier: Apache-2.0
"""A failure, and lines as logs hold them, lead to the error that they report."""

from __future__ import annotations

from pathlib import Path
from typing import Optional

import pytest

from telechat_runtime.job.failure import Failure, FailureKind
from telechat_runtime.job.known_errors import KNOWN_ERRORS, KnownError, known_error

DOCUMENT = Path(__file__).resolve().parents[4] / "docs" / "failures.md"
CRASHED = Failure(FailureKind.WORKER_EXIT, rank=3, exit_code=1)


def name_of(found: Optional[KnownError]) -> Optional[str]:
    return found.name if found else None


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("RuntimeError: EI0002: The wait execution of the Notify register times out.", "HCCL EI0002"),
        ("EI0006: Getting socket times out. Reason: Remote Rank did not send the data in time.", "HCCL EI0006"),
        ("EJ0001: Failed to initialize the HCCP process. Maybe the last training process is running.", "HCCL EJ0001"),
        ("Failed to call bind for socket. Errno: 98, Address already in use", "port in use"),
        (
            "initialize distributed job cluster because some processes in the cluster are not successfully spawned",
            "workers missing",
        ),
        ("Repeated registration node: 0 to the scheduler", "rank twice"),
        ("OSError: [Errno 28] No space left on device", "disk full"),
        ("RuntimeError: Memory not enough: current free memory size[0]", "out of memory"),
        ("ValueError: num_parallel_workers exceeds the boundary between 1 and 2!", "data workers"),
        ("Fatal Python error: Segmentation fault", "crash"),
    ],
)
def test_a_line_of_another_program_is_known(line: str, name: str) -> None:
    assert name_of(known_error(CRASHED, ["INFO all is well", line])) == name
    assert name_of(known_error(Failure(FailureKind.SCHEDULER_EXIT, error=line))) == name


@pytest.mark.parametrize(
    ("failure", "name"),
    [
        (Failure(FailureKind.WORKER_SIGNAL, rank=3, signal="SIGKILL"), "killed"),
        (Failure(FailureKind.SCHEDULER_SIGNAL, signal="SIGKILL"), "killed"),
        (Failure(FailureKind.LAUNCHER_SIGNAL, signal="SIGKILL"), "killed"),
        (Failure(FailureKind.WORKER_SIGNAL, rank=3, signal="SIGTERM"), "ended by MindSpore"),
        (Failure(FailureKind.WORKER_SIGNAL, rank=3, signal="SIGSEGV"), "crash"),
        (Failure(FailureKind.HANG), "hang"),
        (Failure(FailureKind.NODE_LOST), "node lost"),
        (Failure(FailureKind.SUPERVISOR_LOST), "node lost"),
        (Failure(FailureKind.CONTAINER_STOPPED), "node lost"),
        (Failure(FailureKind.DISK_FULL, rank=3, exit_code=1), "disk full"),
        (Failure(FailureKind.UNREACHABLE), None),
        (Failure(FailureKind.STOPPED_BY_USER), None),
        (CRASHED, None),
        (None, None),
    ],
)
def test_what_the_nodes_say_themselves_is_known_by_its_kind(failure: Optional[Failure], name: Optional[str]) -> None:
    assert name_of(known_error(failure)) == name


def test_our_own_sentences_in_a_log_are_no_error() -> None:
    lines = ["hangs: no step for 700 s", "rank 3 was killed by SIGKILL", "its supervisor was killed"]
    assert known_error(CRASHED, lines) is None


def test_the_end_of_another_node_is_explained_there() -> None:
    assert known_error(Failure(FailureKind.PEER, node="node1", error="EI0002")) is None


def test_the_stacks_that_a_hang_leaves_are_no_crash() -> None:
    assert name_of(known_error(Failure(FailureKind.HANG), ["Fatal Python error: Aborted"])) == "hang"


def test_what_a_healthy_start_prints_is_no_error() -> None:
    assert known_error(None, ["WARNING Topology build timed out., retry(1/240)", ""]) is None


def test_of_several_the_more_telling_one_counts() -> None:
    killed = Failure(FailureKind.WORKER_SIGNAL, rank=0, signal="SIGKILL")
    assert name_of(known_error(killed, ["No space left on device"])) == "disk full"


def recognised_by(error: KnownError) -> str:
    words = error.words.replace("|", "\\|")
    shown = [f"`{words}`"] if words else []
    shown += [*(str(kind) for kind in error.kinds), *error.signals]
    return ", ".join(shown)


def test_the_document_shows_the_table() -> None:
    _, _, table = DOCUMENT.read_text(encoding="utf-8").partition("| error | words in the log, kind or signal |")
    rows = [line for line in table.splitlines()[1:] if line.startswith("| ")]
    assert rows == [
        f"| {each.name} | {recognised_by(each)} | {each.cause} | {each.remedy} | "
        f"{'yes' if each.is_transient else 'no'} |"
        for each in KNOWN_ERRORS
    ]


def test_the_document_names_the_errors_that_are_secondary() -> None:
    names = ", ".join(error.name for error in KNOWN_ERRORS if error.is_secondary)
    assert f"mostly comes of another rank's end ({names}) is named first only" in " ".join(
        DOCUMENT.read_text(encoding="utf-8").split()
    )
