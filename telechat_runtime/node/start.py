# SPDX-License-Identifier: Apache-2.0
"""`node start`: take the lease, write the job folder, leave a supervisor behind that runs msrun.

The supervisor has a session of its own and no terminal, so it outlives SSH, `docker exec` and the control side.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
from typing import Any, Callable, Dict, List, Optional

from telechat_runtime.errors import PreflightError, TelechatError, UsageError
from telechat_runtime.job import JOB_ID, JobPaths, JobState
from telechat_runtime.node import lease, supervisor
from telechat_runtime.node.processes import JOB_ID_VARIABLE
from telechat_runtime.node.state import NodeJob, job_paths, utc_now, write_file, write_private_file, write_state

_ANSWER_SECONDS = 60.0
_SCRIPT_SECONDS = 60
_NEEDED = ("job_id", "owner", "kind", "job_root", "argv", "env", "files", "output", "grace_seconds")


def run(request: Dict[str, Any], out: Callable[[Dict[str, Any]], None]) -> int:
    """Start this node's part of the job and answer when msrun runs, or why it does not.

    Raises:
        PreflightError: The node is busy, the job folder exists, or msrun can't be started; nothing is left running.

    """
    missing = [name for name in _NEEDED if name not in request]
    if missing:
        raise UsageError(f"the request to start lacks {', '.join(missing)}")
    job_id = request["job_id"]
    if not JOB_ID.fullmatch(job_id):
        raise UsageError(f"{job_id!r} is no job id (small letters, digits and -, at most 63)")
    paths = job_paths(request, job_id)
    try:
        os.makedirs(paths.job_root, exist_ok=True)
        held = lease.take(paths, job_id=job_id, owner=request["owner"])
    except OSError as error:
        raise PreflightError(f"the job root can't be used: {error}", next_step="check telechat_job_root") from error
    try:
        job = _write_job(paths, request)
        pid = _start_job(paths, job, request, held)
    except OSError as error:
        lease.give_back(held)
        raise PreflightError(f"the job folder can't be written: {error}", next_step="check its disk") from error
    except BaseException:
        lease.give_back(held)
        raise
    # The supervisor's copy keeps the lock.
    os.close(held)
    out({"job_id": job_id, "state": str(JobState.RUNNING), "supervisor_pid": pid})
    return 0


def _start_job(paths: JobPaths, job: NodeJob, request: Dict[str, Any], held: int) -> int:
    try:
        environment = _environment(request, job.job_id)
    except TelechatError as error:
        write_state(paths, job.becoming(JobState.FAILED, reason=error.message))
        raise
    return _leave_supervisor(paths, job, request, environment, held)


def _write_job(paths: JobPaths, request: Dict[str, Any]) -> NodeJob:
    os.makedirs(os.path.dirname(paths.folder), exist_ok=True)
    try:
        os.mkdir(paths.folder)
    except FileExistsError as error:
        raise PreflightError(
            f"{paths.folder} exists: job ids are used once", next_step="start the job under a new id"
        ) from error
    for folder in (paths.work, paths.logs):
        os.mkdir(folder)
    write_private_file(paths.plan, json.dumps(request, indent=1))
    for name, text in request["files"].items():
        target = os.path.normpath(os.path.join(paths.work, name))
        if not target.startswith(paths.work + os.sep):
            raise UsageError(f"the file {name!r} would lie outside of the job's work folder")
        os.makedirs(os.path.dirname(target), exist_ok=True)
        write_file(target, text)
    job = NodeJob(
        job_id=request["job_id"],
        kind=request["kind"],
        owner=request["owner"],
        state=JobState.STARTING,
        started=utc_now(),
    )
    write_state(paths, job)
    return job


def _environment(request: Dict[str, Any], job_id: str) -> Dict[str, str]:
    """Return the job's environment: this one, then the script's, then the plan's PATH folders and variables."""
    environment = dict(os.environ)
    if request.get("env_script"):
        environment = _source(request["env_script"], environment)
    folders: List[str] = [os.path.expanduser(folder) for folder in request.get("path", [])]
    environment["PATH"] = ":".join([*folders, environment.get("PATH", os.defpath)])
    for name, value in request["env"].items():
        if value is None:
            environment.pop(name, None)
        else:
            environment[name] = value
    environment[JOB_ID_VARIABLE] = job_id
    return environment


def _source(script: str, environment: Dict[str, str]) -> Dict[str, str]:
    """Return the environment that a shell has after sourcing the script."""
    argv = ["bash", "-c", 'source "$1" >&2 && env -0', "source", script]
    next_step = "check telechat_env_script"
    try:
        result = subprocess.run(
            argv, env=environment, stdin=subprocess.DEVNULL, capture_output=True, timeout=_SCRIPT_SECONDS, check=False
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise PreflightError(f"{script} can't be sourced: {error}", next_step=next_step) from error
    if result.returncode:
        said = result.stderr.decode("utf-8", "replace").strip().splitlines()[-1:]
        raise PreflightError(f"sourcing {script} failed: {' '.join(said)}", next_step=next_step)
    pairs = (word.partition("=") for word in os.fsdecode(result.stdout).split("\0") if word)
    return {name: value for name, _, value in pairs}


def _leave_supervisor(
    paths: JobPaths, job: NodeJob, request: Dict[str, Any], environment: Dict[str, str], held: int
) -> int:
    """Fork the supervisor away and return its pid once msrun runs."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        os.setsid()
        if os.fork() == 0:
            _be_supervisor(paths, job, request, environment, held, writer)
        os._exit(0)
    os.close(writer)
    os.waitpid(child, 0)
    answer = _read_answer(reader)
    if answer is None:
        raise PreflightError(f"the supervisor did not answer; see {paths.supervisor_log}")
    if "error" in answer:
        raise PreflightError(answer["error"], next_step=answer.get("next_step", ""))
    return int(answer["pid"])


def _be_supervisor(
    paths: JobPaths, job: NodeJob, request: Dict[str, Any], environment: Dict[str, str], held: int, writer: int
) -> None:
    """Run as the supervisor; never returns into the caller's code."""
    exit_code = 1
    try:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        _detach(paths.supervisor_log)
        answer = os.fdopen(writer, "w")

        def started(document: Dict[str, Any]) -> None:
            answer.write(json.dumps(document) + "\n")
            answer.close()

        exit_code = supervisor.supervise(paths, job, request, environment, started)
    except TelechatError as error:
        supervisor.log(str(error))
    finally:
        lease.give_back(held)
        os._exit(exit_code)


def _detach(log: str) -> None:
    null = os.open(os.devnull, os.O_RDONLY)
    target = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(null, 0)
    os.dup2(target, 1)
    os.dup2(target, 2)
    os.close(null)
    os.close(target)


def _read_answer(reader: int) -> Optional[Dict[str, Any]]:
    with os.fdopen(reader, "rb") as pipe:
        ready, _, _ = select.select([pipe], [], [], _ANSWER_SECONDS)
        line = pipe.readline() if ready else b""
    if not line:
        return None
    document = json.loads(line)
    return document if isinstance(document, dict) else None
