# SPDX-License-Identifier: Apache-2.0
"""`node start`: take the lease, write the job folder, leave a supervisor behind that runs msrun.

The supervisor has a session of its own and no terminal, so it outlives SSH, `docker exec` and the control side.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import traceback
from typing import Any, Callable, Dict, Optional

from telechat_runtime.ascend.atomic_file import replace_file
from telechat_runtime.ascend.processes import identify
from telechat_runtime.errors import PreflightError, TelechatError
from telechat_runtime.job import schemas
from telechat_runtime.job.paths import JobPaths
from telechat_runtime.job.state import JobState
from telechat_runtime.node import record, service
from telechat_runtime.node.supervision import lease, supervisor
from telechat_runtime.node.supervision.environment import job_environment
from telechat_runtime.node.supervision.processes import end_job
from telechat_runtime.node.supervision.start_request import checked_paths
from telechat_runtime.node.supervision.state import (
    NodeJob,
    lay_reserve,
    utc_now,
    write_private_file,
    write_state,
)

_ANSWER_SECONDS = 60.0


def run(request: Dict[str, Any], out: Callable[[Dict[str, Any]], None]) -> int:
    """Start this node's part of the job and answer when msrun runs, or why it does not.

    Raises:
        PreflightError: The node is busy, the job folder exists, or msrun can't be started; nothing is left running.
        UsageError: The request is not what the node protocol says; nothing was touched.

    """
    paths = checked_paths(request)
    try:
        os.makedirs(paths.job_root, exist_ok=True)
        held = lease.take(paths, owner=request["owner"], since=utc_now())
    except OSError as error:
        raise PreflightError(f"the job root can't be used: {error}", next_step="check telechat_job_root") from error
    try:
        # With the lease in hand: who drains the node looks for a lease after it has taken the node out of service.
        if not (request.get("options") or {}).get("out_of_service"):
            service.refuse_out_of_service(paths)
        pid = _start(paths, request, held)
    except BaseException:
        held.give_back()
        raise
    held.leave()
    out({"job_id": paths.job_id, "state": str(JobState.RUNNING), "supervisor_pid": pid})
    return 0


def _start(paths: JobPaths, request: Dict[str, Any], held: lease.Lease) -> int:
    job = NodeJob(
        job_id=paths.job_id,
        kind=request["kind"],
        owner=request["owner"],
        state=JobState.STARTING,
        started=utc_now(),
        supervisor=identify(os.getpid()),
    )
    _make_folder(paths)
    try:
        write_state(paths, job)
        _write_files(paths, request)
        environment = job_environment(request)
        answer = _leave_supervisor(paths, job, request, environment, held)
    except OSError as error:
        message = f"the job folder can't be written: {error}"
        _note_failure(paths, job, message, error)
        raise PreflightError(message, next_step=f"check the disk of {paths.job_root}") from error
    except TelechatError as error:
        _note_failure(paths, job, error.message, error)
        raise
    if "error" in answer:
        raise PreflightError(answer["error"], next_step=answer["next_step"])
    return int(answer["pid"])


def _make_folder(paths: JobPaths) -> None:
    try:
        os.makedirs(os.path.dirname(paths.folder), exist_ok=True)
        os.mkdir(paths.folder)
    except FileExistsError as error:
        raise PreflightError(
            f"{paths.folder} exists: job ids are used once", next_step="start the job under a new id"
        ) from error
    except OSError as error:
        raise PreflightError(f"the job folder can't be made: {error}", next_step="check telechat_job_root") from error


def _write_files(paths: JobPaths, request: Dict[str, Any]) -> None:
    for folder in (paths.work, paths.logs):
        os.mkdir(folder)
    lay_reserve(paths)
    write_private_file(paths.plan, json.dumps({"schema": schemas.NODE_PLAN, **request}, indent=1))
    for name, text in request["files"].items():
        target = os.path.join(paths.work, name)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        replace_file(target, text)
    for name, source in (request.get("links") or {}).items():
        link = os.path.join(paths.work, name)
        os.makedirs(os.path.dirname(link), exist_ok=True)
        os.symlink(source, link)
    record.write(paths, request)


def _note_failure(paths: JobPaths, job: NodeJob, reason: str, error: Exception) -> None:
    # On a full disk even this can't be written; the caller is told the reason in any case.
    with contextlib.suppress(OSError):
        write_state(paths, job.becoming(JobState.FAILED, reason=reason, failure=supervisor.start_failure(error)))


def _leave_supervisor(
    paths: JobPaths, job: NodeJob, request: Dict[str, Any], environment: Dict[str, str], held: lease.Lease
) -> Dict[str, Any]:
    """Fork the supervisor and return its answer; on any error it, and what it started, is gone."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        _be_supervisor(paths, job, request, environment, held, writer)
    os.close(writer)
    try:
        answer = _read_answer(reader)
    except BaseException:
        _end_supervisor(child, job.job_id)
        raise
    if answer is None:
        _end_supervisor(child, job.job_id)
        raise PreflightError("its supervisor did not answer", next_step=f"see {paths.supervisor_log} on the node")
    return answer


def _end_supervisor(pid: int, job_id: str) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    end_job(job_id, 0)


def _be_supervisor(
    paths: JobPaths,
    job: NodeJob,
    request: Dict[str, Any],
    environment: Dict[str, str],
    held: lease.Lease,
    writer: int,
) -> None:
    """Run as the supervisor; never returns into the caller's code."""
    exit_code = 1
    try:
        os.setsid()
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        _detach(paths.supervisor_log)

        def answer(document: Dict[str, Any]) -> None:
            # Who asked for the start may be gone by now; the job is there all the same.
            with contextlib.suppress(BrokenPipeError):
                os.write(writer, json.dumps(document).encode() + b"\n")
            os.close(writer)

        exit_code = supervisor.supervise(paths, job, request, environment, answer, held)
    except BaseException:  # noqa: BLE001 - the last thing this process does is to say why it ends
        supervisor.log(traceback.format_exc())
    finally:
        held.give_back()
        os._exit(exit_code)


def _detach(log: str) -> None:
    null = os.open(os.devnull, os.O_RDONLY)
    target = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(null, 0)
    os.dup2(target, 1)
    os.dup2(target, 2)
    os.close(null)
    os.close(target)
    os.chdir(os.path.dirname(log))


def _read_answer(reader: int) -> Optional[Dict[str, Any]]:
    with os.fdopen(reader, "rb") as pipe:
        ready, _, _ = select.select([pipe], [], [], _ANSWER_SECONDS)
        line = pipe.readline() if ready else b""
    if not line:
        return None
    document = json.loads(line)
    return document if isinstance(document, dict) else None
