# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any, Dict

import pytest

from telechat_runtime import PROTOCOL
from telechat_runtime.errors import PreflightError, UsageError
from telechat_runtime.job.paths import JobPaths
from telechat_runtime.node.supervision import lease, processes
from tests.support.local_node import CHECKOUT, Answer, LocalNode, is_running, wait_until

FOREVER = "echo up; exec sleep 600"


def refused(node: LocalNode, request: Dict[str, Any], error: type[Exception]) -> Answer:
    """Start what can't start; prove that the node is as free as before."""
    answer = node.call("start", **request)
    assert answer.exit_code == answer.document["error"]["code"] == getattr(error, "exit_code")  # noqa: B009
    assert processes.of_job(str(request["job_id"])) == []
    wait_until(lambda: node.status()["lease"] is None)
    assert "stale_lease" not in node.status()
    return answer


def failed(node: LocalNode, request: Dict[str, Any]) -> Answer:
    """Start what fails once its folder is there; prove that its state tells the reason."""
    answer = refused(node, request, PreflightError)
    state = node.state(request["job_id"])
    assert state["state"] == "FAILED"
    assert state["ended"] is not None
    assert state["reason"]
    assert state["reason"] in answer.error
    return answer


def test_a_start_answers_with_the_supervisor_that_holds_the_node(node: LocalNode) -> None:
    request = node.request(FOREVER)
    answer = node.call("start", **request)
    job_id = request["job_id"]
    pid = answer.document["supervisor_pid"]
    assert answer.document == {"job_id": job_id, "state": "RUNNING", "supervisor_pid": pid}
    assert os.getsid(pid) == pid, "a session of its own"
    assert node.state(job_id)["supervisor"]["pid"] == pid
    assert node.status()["lease"].items() >= {"job_id": job_id, "owner": "alice"}.items()


def test_the_job_folder_is_as_the_protocol_says(node: LocalNode) -> None:
    files = {"config.yaml": "seed: 1 # 中\n", "data/list.txt": "x"}
    request = node.request("pwd; exit 0", files=files)
    node.call("start", **request)
    node.wait_for_end(request["job_id"])
    paths = node.paths(request["job_id"])
    for name, text in files.items():
        assert (Path(paths.work) / name).read_text(encoding="utf-8") == text
    assert json.loads(Path(paths.plan).read_text(encoding="utf-8")) == {"schema": 1, **request}
    assert stat.S_IMODE(Path(paths.plan).stat().st_mode) == 0o600
    assert Path(paths.worker_log(0)).read_text(encoding="utf-8") == f"{paths.work}\n"
    assert "Start worker process" in (Path(paths.logs) / "msrun.log").read_text(encoding="utf-8")
    assert "SUCCEEDED" in Path(paths.supervisor_log).read_text(encoding="utf-8")


def test_workers_get_the_environment_of_script_and_plan(node: LocalNode, tmp_path: Path) -> None:
    script = tmp_path / "set_env.sh"
    script.write_text("export FROM_SCRIPT=1 FROM_BOTH=script UNSET=1\n", encoding="utf-8")
    env = {"FROM_BOTH": "plan", "UNSET": None}
    worker = 'echo "$FROM_SCRIPT $FROM_BOTH ${UNSET-unset} $TELECHAT_JOB_ID $(command -v msrun)"'
    job_id = node.start(worker, env=env, env_script=str(script))
    node.wait_for_end(job_id)
    said = Path(node.paths(job_id).worker_log(1)).read_text(encoding="utf-8")
    assert said == f"1 plan unset {job_id} {node.tools}/msrun\n"


def test_msrun_that_is_missing_is_named(node: LocalNode) -> None:
    request = node.request(FOREVER)
    request["argv"][0] = "no-such-msrun"
    assert "no-such-msrun can't be started: No such file" in failed(node, request).error


def test_msrun_that_may_not_run_is_named(node: LocalNode) -> None:
    request = node.request(FOREVER)
    request["argv"][0] = str(node.tools)
    assert "Permission denied" in failed(node, request).error


@pytest.mark.parametrize("text", [None, "echo no driver >&2; return 1\n", "exit 0\n"])
def test_an_environment_script_that_fails(node: LocalNode, tmp_path: Path, text: str | None) -> None:
    script = tmp_path / "set_env.sh"
    if text is not None:
        script.write_text(text, encoding="utf-8")
    assert str(script) in failed(node, node.request(FOREVER, env_script=str(script))).error


def test_a_file_that_cannot_be_written(node: LocalNode) -> None:
    request = node.request(FOREVER, files={"a": "a file", "a/b": "a file in a file"})
    assert "can't be written" in failed(node, request).error


def test_a_request_of_a_newer_protocol_is_refused_and_one_of_an_older_is_not(node: LocalNode) -> None:
    refused = node.call("start", **node.request("true", protocol=PROTOCOL + 1))
    assert refused.exit_code == 4
    assert f"the request to start is of protocol {PROTOCOL + 1}, this runtime is telechat-run" in refused.error
    assert "playbooks/runtime.yml" in refused.error
    assert not node.job_root.exists()
    assert node.call("start", **node.request("true", protocol=PROTOCOL - 1)).exit_code == 0


def test_a_job_id_is_used_once(node: LocalNode) -> None:
    request = node.request("exit 0")
    node.call("start", **request)
    first = node.wait_for_end(request["job_id"])
    wait_until(lambda: node.status()["lease"] is None)
    assert "job ids are used once" in refused(node, request, PreflightError).error
    assert node.state(request["job_id"]) == first


def test_a_busy_node_is_refused_and_its_job_goes_on(node: LocalNode) -> None:
    job_id = node.start(FOREVER)
    request = node.request(FOREVER, owner="bob")
    answer = node.call("start", **request)
    assert answer.exit_code == PreflightError.exit_code
    assert f"busy: alice runs job {job_id} on it since" in answer.error
    assert not Path(node.paths(request["job_id"]).folder).exists()
    assert node.status()["lease"]["job_id"] == job_id


@pytest.mark.parametrize("kind", ["file", "below a file"])
def test_a_job_root_that_cannot_be_used(node: LocalNode, tmp_path: Path, kind: str) -> None:
    file = tmp_path / "file"
    file.touch()
    root = str(file if kind == "file" else file / "root")
    answer = node.call("start", **node.request(FOREVER, job_root=root))
    assert answer.exit_code == PreflightError.exit_code
    assert "the job root can't be used" in answer.error
    assert root in answer.error


def test_a_jobs_folder_that_cannot_be_made(node: LocalNode) -> None:
    node.job_root.mkdir()
    (node.job_root / "jobs").touch()
    request = node.request(FOREVER)
    answer = node.call("start", **request)
    assert answer.exit_code == PreflightError.exit_code
    assert lease.look(node.paths(request["job_id"])) == lease.LeaseLook(held=None, stale=None)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"files": {"../escaped": "x"}}, "'../escaped' would lie outside"),
        ({"files": {"/etc/escaped": "x"}}, "'/etc/escaped' would lie outside"),
        ({"files": {"a/../../escaped": "x"}}, "would lie outside"),
        ({"files": {"": "x"}}, "would lie outside"),
        ({"files": {"a": 5}}, "'a' has no text"),
        ({"output": "../msrun.log"}, "is no file name in the job's logs folder"),
        ({"output": ".."}, "is no file name in the job's logs folder"),
        ({"job_id": "../x"}, "is no job id"),
        ({"job_id": 5}, "wrong type: job_id"),
        ({"argv": []}, "argv"),
        ({"argv": ["msrun", 5]}, "argv"),
        ({"argv": ["ms\0run"]}, "argv"),
        ({"env": {"A=B": "x"}}, "'A=B' is no name"),
        ({"env": {"A": 5}}, "A is neither a text nor null"),
        ({"grace_seconds": "soon"}, "wrong type: grace_seconds"),
        ({"job_root": ""}, "job_root"),
    ],
)
def test_a_request_that_makes_no_sense_touches_nothing(node: LocalNode, changes: Dict[str, Any], said: str) -> None:
    answer = node.call("start", **node.request(FOREVER, **changes))
    assert answer.exit_code == UsageError.exit_code
    assert said in answer.error
    assert not node.job_root.exists()


def test_what_a_request_lacks_is_named(node: LocalNode) -> None:
    request = node.request(FOREVER)
    del request["argv"], request["owner"]
    answer = node.call("start", **request)
    assert answer.exit_code == UsageError.exit_code
    assert "lacks owner, argv" in answer.error
    assert not node.job_root.exists()


def test_the_job_outlives_the_session_that_started_it(node: LocalNode) -> None:
    request = node.request(FOREVER)
    # As sshd does: a session with a process that starts the job, and is gone together with all of its group.
    program = 'printf %s "$1" | "$2" -m telechat_runtime node start; echo started; exec sleep 600'
    argv = ["sh", "-c", program, "sh", json.dumps(request), sys.executable]
    with subprocess.Popen(argv, cwd=CHECKOUT, stdout=subprocess.PIPE, text=True, start_new_session=True) as session:
        assert session.stdout is not None
        wait_until(lambda: session.stdout is not None and session.stdout.readline() == "started\n")
        for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
            os.killpg(session.pid, number)
    node.wait_for_log(request["job_id"], "up")
    assert node.status()["jobs"][0]["state"] == "RUNNING"
    assert is_running(node.worker_pid(request["job_id"], 0))


def test_a_start_that_is_killed_leaves_a_job_that_can_be_stopped(node: LocalNode, tmp_path: Path) -> None:
    script = tmp_path / "set_env.sh"
    script.write_text(f"touch '{tmp_path}/sourcing'; sleep 600\n", encoding="utf-8")
    request = node.request(FOREVER, env_script=str(script))
    argv = [sys.executable, "-m", "telechat_runtime", "node", "start"]
    with subprocess.Popen(argv, cwd=CHECKOUT, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as start:
        assert start.stdin is not None
        start.stdin.write(json.dumps(request).encode())
        start.stdin.close()
        wait_until((tmp_path / "sourcing").exists)
        assert node.status()["jobs"][0]["state"] == "STARTING"
        start.kill()
    assert node.status()["jobs"][0]["state"] == "LOST"
    busy = node.call("start", **node.request(FOREVER))
    assert "lost its supervisor, but its processes still run" in busy.error
    assert node.stop(request["job_id"]).document["state"] == "STOPPED"
    assert processes.of_job(request["job_id"]) == []


def test_a_record_of_a_dead_holder_does_not_hinder(node: LocalNode) -> None:
    node.job_root.mkdir()
    paths = JobPaths(str(node.job_root), "job-before")
    lease.take(paths, owner="carol", since="then").leave()
    job_id = node.start(FOREVER)
    assert node.status()["lease"]["job_id"] == job_id
