# SPDX-License-Identifier: Apache-2.0
"""Lines as logs hold them lead to the error they report."""

from __future__ import annotations

from pathlib import Path

import pytest

from telechat_runtime.job.known_errors import KNOWN_ERRORS, known_error

DOCUMENT = Path(__file__).resolve().parents[4] / "docs" / "failures.md"


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
        ("rank 3 was killed by SIGKILL", "killed"),
        ("the scheduler: killed by SIGKILL", "killed"),
        ("rank 3 was killed by SIGSEGV", "crash"),
        ("hangs: no step for 700 s after step 5 of 9; usual are 3.0 s", "hang"),
        ("node1 has given no sign of life for 15 s", "node lost"),
        ("its supervisor was killed", "node lost"),
        ("its supervisor is gone: it was killed, or the container or node went down", "node lost"),
        ("node1: the container 'telechat' is not running", "node lost"),
    ],
)
def test_a_line_of_a_log_is_known(line: str, name: str) -> None:
    found = known_error(["INFO all is well", line])
    assert found is not None
    assert found.name == name


def test_the_stacks_that_a_hang_leaves_are_no_crash() -> None:
    found = known_error(["hangs: no step for 700 s after step 5 of 9; usual are 3.0 s", "Fatal Python error: Aborted"])
    assert found is not None
    assert found.name == "hang"


def test_what_a_healthy_start_prints_is_no_error() -> None:
    assert known_error(["WARNING Topology build timed out., retry(1/240)", ""]) is None


def test_of_several_the_more_telling_one_counts() -> None:
    found = known_error(["rank 0 was killed by SIGKILL", "No space left on device"])
    assert found is not None
    assert found.name == "disk full"


def test_the_document_shows_the_table() -> None:
    rows = [line for line in DOCUMENT.read_text(encoding="utf-8").splitlines() if line.startswith("| ")][1:]
    escaped = {error.name: error.words.replace("|", "\\|") for error in KNOWN_ERRORS}
    assert rows == [
        f"| {each.name} | `{escaped[each.name]}` | {each.cause} | {each.remedy} | {'yes' if each.passes else 'no'} |"
        for each in KNOWN_ERRORS
    ]


def test_the_document_names_the_errors_that_follow_another_nodes() -> None:
    names = ", ".join(error.name for error in KNOWN_ERRORS if error.follows)
    assert f"mostly comes of another rank's end ({names}) is named first only" in " ".join(
        DOCUMENT.read_text(encoding="utf-8").split()
    )
