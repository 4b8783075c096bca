# SPDX-License-Identifier: Apache-2.0
"""The node protocol's stdin and stdout, as a control side on another machine meets them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from telechat_runtime.job import JobPaths, JobState
from telechat_runtime.node.state import NodeJob, write_state

NODE = (sys.executable, "-m", "telechat_runtime", "node")


@pytest.fixture
def ended(tmp_path: Path) -> JobPaths:
    """A job that has ended, on this node."""
    paths = JobPaths(str(tmp_path), "job-1")
    Path(paths.logs).mkdir(parents=True)
    job = NodeJob(job_id="job-1", kind="finetune", owner="lin", state=JobState.FAILED, started="2026-01-01T00:00:00Z")
    write_state(paths, job)
    return paths


def test_watch_ends_in_peace_while_its_stdin_stays_open(ended: JobPaths) -> None:
    request = json.dumps({"job_root": ended.job_root, "ranks": None, "offsets": {}, "until_eof": True}) + "\n"
    argv = [*NODE, "watch", "--job", ended.job_id]
    pipe = subprocess.PIPE
    with subprocess.Popen(argv, text=True, stdin=pipe, stdout=pipe, stderr=pipe) as watch:
        assert watch.stdin is not None
        assert watch.stdout is not None
        assert watch.stderr is not None
        watch.stdin.write(request)
        watch.stdin.flush()
        events = [json.loads(line) for line in watch.stdout]
        assert watch.stderr.read() == ""
        assert watch.wait() == 0
    assert [event["state"] for event in events if event["event"] == "state"] == ["FAILED"]


def test_a_request_that_is_no_json_is_answered_as_an_error(tmp_path: Path) -> None:
    result = subprocess.run([*NODE, "status"], input="{", text=True, capture_output=True, check=False, cwd=tmp_path)
    assert result.returncode == 2
    assert "stdin is no JSON document" in result.stderr
