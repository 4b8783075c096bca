# SPDX-License-Identifier: Apache-2.0
"""A node on this machine: a job root, a stand-in for msrun, and the node commands as the control side calls them."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Callable, Dict, List, NamedTuple, Optional

from telechat_runtime import PROTOCOL, __version__
from telechat_runtime.job.paths import JobPaths
from telechat_runtime.node.supervision import processes

CHECKOUT = Path(__file__).resolve().parents[2]
_PROGRAM = [sys.executable, "-m", "telechat_runtime"]
# A node command in whose process constants have other values: how long it waits is not what its test is about.
_CHANGED = """\
import importlib, json, sys
for name, value in json.loads(sys.argv.pop(1)).items():
    module, constant = name.rsplit(".", 1)
    module = importlib.import_module(f"telechat_runtime.node.{module}")
    assert hasattr(module, constant), name
    setattr(module, constant, value)
importlib.import_module("telechat_runtime.__main__").main()
"""
_SECONDS = 60.0
_POLL_SECONDS = 0.05
_numbers = itertools.count()


class Answer(NamedTuple):
    """What a node command wrote, and how it ended."""

    exit_code: int
    document: Dict[str, Any]
    stderr: str

    @property
    def error(self) -> str:
        return str(self.document["error"]["message"])


class LocalNode:
    """Starts jobs of shell commands; `clean_up` ends them and proves that nothing of them is left."""

    def __init__(self, folder: Path) -> None:
        self.job_root = folder / "jobs root"
        self.tools = folder / "tools"
        self.tools.mkdir()
        msrun = self.tools / "msrun"
        text = (Path(__file__).parent / "msrun_stand_in.py").read_text(encoding="utf-8")
        msrun.write_text(f"#!{sys.executable} -SE\n{text}", encoding="utf-8")
        msrun.chmod(0o755)
        self.jobs: List[str] = []
        # Values for constants of telechat_runtime.node, as "supervision.peers._SIGN_SECONDS", in what is called next.
        self.constants: Dict[str, float] = {}

    def paths(self, job_id: str) -> JobPaths:
        return JobPaths(str(self.job_root), job_id)

    def request(self, worker: str, *, workers: int = 2, **changes: Any) -> Dict[str, Any]:
        """Return a request to start a job whose workers each run the shell command `worker`."""
        job_id = f"test-{os.getpid()}-{next(_numbers)}"
        self.jobs.append(job_id)
        logs = self.paths(job_id).logs
        options = [f"--worker_num={workers}", f"--local_worker_num={workers}", f"--log_dir={logs}", "--join=True"]
        return {
            "job_id": job_id,
            "owner": "alice",
            "kind": "finetune",
            "node_rank": 0,
            "node_count": 1,
            "first_rank": 0,
            "local_worker_num": workers,
            "job_root": str(self.job_root),
            "argv": ["msrun", *options, "sh", "-c", worker],
            "env": {},
            "path": [str(self.tools)],
            "env_script": None,
            "files": {"config.yaml": "seed: 1\n"},
            "output": "msrun.log",
            "grace_seconds": 5,
            **changes,
        }

    def call(self, *words: str, **request: Any) -> Answer:
        """Run a node command to its end."""
        changed = [sys.executable, "-c", _CHANGED, json.dumps(self.constants)]
        program = changed if self.constants else _PROGRAM
        done = subprocess.run(
            [*program, "node", *words],
            input=json.dumps(request),
            cwd=CHECKOUT,
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
        )
        assert "Traceback" not in done.stderr
        document = json.loads(done.stdout.splitlines()[-1])
        assert document.pop("protocol") == PROTOCOL
        assert document.pop("version") == __version__
        return Answer(done.returncode, document, done.stderr)

    def start(self, worker: str, **changes: Any) -> str:
        """Start a job, which has to succeed, and return its id."""
        request = self.request(worker, **changes)
        answer = self.call("start", **request)
        assert answer.exit_code == 0, answer
        return str(request["job_id"])

    def stop(self, job_id: str, *, grace_seconds: float = 5) -> Answer:
        return self.call("stop", "--job", job_id, job_root=str(self.job_root), grace_seconds=grace_seconds)

    def status(self) -> Dict[str, Any]:
        return self.call("status", job_root=str(self.job_root)).document

    def state(self, job_id: str) -> Dict[str, Any]:
        """Return the job's state file as it stands."""
        return dict(json.loads(Path(self.paths(job_id).state).read_text(encoding="utf-8")))

    def wait_for_end(self, job_id: str) -> Dict[str, Any]:
        """Wait until the job has ended and the node is free; return the last state."""
        wait_until(lambda: self.state(job_id)["state"] not in ("STARTING", "RUNNING"))
        return self.state(job_id)

    def wait_for_log(self, job_id: str, text: str, *, ranks: int = 2) -> None:
        """Wait until that many workers have written `text` into their logs."""
        logs = [Path(self.paths(job_id).worker_log(rank)) for rank in range(ranks)]
        wait_until(lambda: all(log.exists() and text in log.read_text(encoding="utf-8") for log in logs))

    def worker_pid(self, job_id: str, rank: int) -> int:
        """Return the pid of a worker."""
        return wait_until(
            lambda: next((seen.identity.pid for seen in processes.of_job(job_id) if seen.rank == rank), None)
        )

    def guard_pid(self, job_id: str) -> int:
        """Return the pid of the supervisor's guard: its child in a session of its own that runs the same program."""
        supervisor = self.state(job_id)["supervisor"]["pid"]
        program = Path(f"/proc/{supervisor}/cmdline").read_bytes()
        children = Path(f"/proc/{supervisor}/task/{supervisor}/children").read_text(encoding="ascii").split()
        return next(int(pid) for pid in children if Path(f"/proc/{pid}/cmdline").read_bytes() == program)

    def kill_supervisor(self, job_id: str) -> None:
        """Kill the supervisor and its guard: what they own is lost."""
        supervisor = self.state(job_id)["supervisor"]["pid"]
        for pid in (self.guard_pid(job_id), supervisor):
            os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not is_running(supervisor))

    def clean_up(self) -> None:
        for job_id in self.jobs:
            if Path(self.paths(job_id).state).exists() and self.state(job_id)["state"] in ("STARTING", "RUNNING"):
                assert self.stop(job_id, grace_seconds=0).document["left"] == []
            left = processes.of_job(job_id)
            if left:
                processes.end_job(job_id, 0)
            assert not left, f"a test left processes of {job_id} behind: {left}"
        shutil.rmtree(self.job_root, ignore_errors=True)


def wait_until(look: Callable[[], Any]) -> Any:
    """Return what `look` finds, once it finds something."""
    deadline = time.monotonic() + _SECONDS
    found: Optional[Any] = look()
    while not found:
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(_POLL_SECONDS)
        found = look()
    return found


def is_running(pid: int) -> bool:
    return processes.identify(pid) is not None
