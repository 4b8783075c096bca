# SPDX-License-Identifier: Apache-2.0
"""`telechat-run node …`: thin wrappers around telechat_runtime.node, one per command of the node protocol.

Each reads one JSON document on stdin and writes JSON lines on stdout. They start on nodes, many at once, and so import
nothing that the node part does not need.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import threading
from typing import Any, BinaryIO, Dict

import click

from telechat_runtime.errors import TelechatError, UsageError
from telechat_runtime.job import JOB_ID


@click.group()
def node() -> None:
    """Do one step of the node protocol on this node; the other commands call these."""


@node.command()
def probe() -> None:
    """Answer everything that a plan needs to know of this node."""
    _answer("probe", _read_request())


@node.command()
def start() -> None:
    """Take the lease, write the job folder and start the job's supervisor."""
    _answer("start", _read_request())


@node.command()
@click.option("--job", "job_id", required=True, metavar="ID", help="The job to watch.")
def watch(job_id: str) -> None:
    """Write the job's log lines, state and heartbeats until the job has ended."""
    stdin = click.get_binary_stream("stdin")
    request = _parse_request(stdin.readline())
    if request.get("until_eof"):
        _end_with(stdin)
    _answer("watch", _with_job(request, job_id))


@node.command()
@click.option("--job", "job_id", required=True, metavar="ID", help="The job whose file it is.")
def read(job_id: str) -> None:
    """Write a file of the job's work folder, in pieces."""
    stdin = click.get_binary_stream("stdin")
    request = _parse_request(stdin.readline())
    _end_with(stdin)
    _answer("read", _with_job(request, job_id))


@node.command()
@click.option("--job", "job_id", required=True, metavar="ID", help="The job to stop.")
def stop(job_id: str) -> None:
    """End all processes of the job."""
    _answer("stop", _with_job(_read_request(), job_id))


@node.command()
def status() -> None:
    """Tell who holds the lease, and this node's jobs."""
    _answer("status", _read_request())


@node.command()
def versions() -> None:
    """Tell which versions are installed here, and how they fit the version matrix."""
    _answer("versions", _read_request())


@node.command()
def examine() -> None:
    """Answer everything that doctor asks of the place where this runs."""
    _answer("examine", _read_request())


@node.command()
def sweep() -> None:
    """Tell what dead jobs left on this server, and remove it if asked to."""
    _answer("sweep", _read_request())


@node.command()
def service() -> None:
    """Tell whether this node is in service; take it out, or put it in again."""
    _answer("service", _read_request())


@node.command("checkpoint-info")
def checkpoint_info() -> None:
    """Tell what a conversion or a merge of checkpoints here would make, or what forbids it."""
    _answer("checkpoint_info", _read_request())


@node.command()
@click.option("--job", "job_id", required=True, metavar="ID", help="The job whose record it is.")
def record(job_id: str) -> None:
    """Tell what a job ran here, with which versions, on which data, and how it ended."""
    _answer("record", _with_job(_read_request(), job_id))


@node.command("job-output")
@click.option("--job", "job_id", required=True, metavar="ID", help="The job to look at.")
def job_output(job_id: str) -> None:
    """Tell what a job left here: its yaml, strategy files, and the ranks that have checkpoints."""
    _answer("job_output", _with_job(_read_request(), job_id))


@node.command("saved-steps")
@click.option("--job", "job_id", required=True, metavar="ID", help="The job whose checkpoints they are.")
def saved_steps(job_id: str) -> None:
    """Tell which steps of a job are saved here, and which of their files are whole."""
    _answer("saved_steps", _with_job(_read_request(), job_id))


def _read_request() -> Dict[str, Any]:
    return _parse_request(click.get_binary_stream("stdin").read())


def _parse_request(text: bytes) -> Dict[str, Any]:
    try:
        request = json.loads(text)
    except ValueError as error:
        raise UsageError(f"stdin is no JSON document: {error}") from error
    if not isinstance(request, dict):
        raise UsageError(f"stdin holds a JSON {type(request).__name__}; the node protocol wants an object")
    return request


def _with_job(request: Dict[str, Any], job_id: str) -> Dict[str, Any]:
    if not JOB_ID.fullmatch(job_id):
        raise UsageError(f"--job {job_id!r} is no job id (small letters, digits and -, at most 63)")
    return {**request, "job_id": job_id}


def _answer(command: str, request: Dict[str, Any]) -> None:
    module = importlib.import_module(f"telechat_runtime.node.{command}")
    try:
        code = module.run(request, _write)
    except TelechatError as error:
        _write({"error": {"code": error.exit_code, "message": str(error)}})
        click.echo(f"telechat-run: error: {error}", err=True)
        code = error.exit_code
    click.get_current_context().exit(code)


def _write(document: Dict[str, Any]) -> None:
    # Line by line: the control side shows a log line when it is written, not when a buffer is full.
    sys.stdout.write(json.dumps(document) + "\n")
    sys.stdout.flush()


def _end_with(stdin: BinaryIO) -> None:
    def wait() -> None:
        # Unbuffered: a thread that waits inside the buffered stdin holds a lock, and Python dies of that at its end.
        while os.read(stdin.fileno(), 4096):
            pass
        os._exit(0)  # a reader owns nothing that would want cleaning up

    threading.Thread(target=wait, daemon=True).start()
