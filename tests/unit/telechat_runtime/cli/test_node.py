# SPDX-License-Identifier: Apache-2.0
"""The wrappers around the node part, as processes: what a transport sees."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from telechat_runtime import PROTOCOL, __version__

PROGRAM = [sys.executable, "-m", "telechat_runtime", "node"]


def run(*words: str, stdin: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*PROGRAM, *words], input=stdin, capture_output=True, text=True, timeout=60, check=False)


def test_an_answer_is_one_json_line(tmp_path: Path) -> None:
    done = run("status", stdin=json.dumps({"job_root": str(tmp_path)}))
    assert (done.returncode, done.stderr) == (0, "")
    envelope = {"protocol": PROTOCOL, "version": __version__}
    assert json.loads(done.stdout) == {"lease": None, "service": None, "jobs": [], **envelope}


@pytest.mark.parametrize(
    ("stdin", "message"),
    [("", "stdin is no JSON document"), ("{", "stdin is no JSON document"), ("[]", "holds a JSON list")],
)
def test_a_request_that_is_none(stdin: str, message: str) -> None:
    done = run("probe", stdin=stdin)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_an_error_goes_to_the_control_side_with_its_exit_code(tmp_path: Path) -> None:
    done = run("stop", "--job", "finetune-1", stdin=json.dumps({"job_root": str(tmp_path), "grace_seconds": 1}))
    error = json.loads(done.stdout)["error"]
    assert done.returncode == error["code"] != 0
    assert "finetune-1" in error["message"]
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("job", ["../x", "A", ""])
def test_a_job_id_that_is_none(tmp_path: Path, job: str) -> None:
    done = run("watch", "--job", job, stdin=json.dumps({"job_root": str(tmp_path)}) + "\n")
    assert done.returncode == 2
    assert "is no job id" in done.stderr
