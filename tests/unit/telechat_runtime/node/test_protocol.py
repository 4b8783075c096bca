# SPDX-License-Identifier: Apache-2.0
"""The node commands as processes: what comes in, what goes out, and how they end."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import List

import pytest

from tests.support.local_node import CHECKOUT, LocalNode


def node_command(*words: str, stdin: str = "{}") -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "telechat_runtime", "node", *words]
    return subprocess.run(argv, cwd=CHECKOUT, input=stdin, capture_output=True, text=True, check=False)


def test_a_document_comes_in_and_one_goes_out(tmp_path: Path) -> None:
    done = node_command("status", stdin=json.dumps({"job_root": str(tmp_path)}))
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["lease"] is None


@pytest.mark.parametrize(
    ("words", "stdin", "message"),
    [
        (["status"], "", "stdin is no JSON document"),
        (["status"], "[]", "stdin holds a JSON list; the node protocol wants an object"),
        (["stop", "--job", "../x"], "{}", "--job '../x' is no job id"),
    ],
)
def test_a_bad_request_is_answered_by_a_document_and_a_message(words: List[str], stdin: str, message: str) -> None:
    done = node_command(*words, stdin=stdin)
    assert done.returncode == 2
    assert message in json.loads(done.stdout)["error"]["message"]
    assert message in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nope"], "argument COMMAND: invalid choice: 'nope'"),
        ([], "the following arguments are required: COMMAND"),
        (["watch"], "the following arguments are required: --job"),
    ],
)
def test_a_bad_command_line_ends_with_2(words: List[str], message: str) -> None:
    done = node_command(*words)
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr


def test_a_caller_that_has_gone_is_no_traceback(node: LocalNode) -> None:
    """As when ssh breaks: there is nobody to read the answer."""
    argv = [sys.executable, "-m", "telechat_runtime", "node", "status"]
    with subprocess.Popen(
        argv, cwd=CHECKOUT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as command:
        assert command.stdin is not None
        assert command.stdout is not None
        assert command.stderr is not None
        command.stdout.close()
        command.stdin.write(json.dumps({"job_root": str(node.job_root)}).encode())
        command.stdin.close()
        assert command.stderr.read() == b""
        assert command.wait() == 1
