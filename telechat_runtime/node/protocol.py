# SPDX-License-Identifier: Apache-2.0
"""`telechat-run node COMMAND`: one JSON document on stdin, JSON lines on stdout (docs/architecture.md).

Many of these start at once, on every node, and most do little: so they know no click, which takes as long to import as
such a command takes, and each imports the module of its command only.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import sys
import threading
from typing import Any, BinaryIO, Dict, NamedTuple, Optional, Sequence

from telechat_runtime import PROTOCOL, __version__
from telechat_runtime.errors import ExitCode, TelechatError, UsageError
from telechat_runtime.job.paths import checked_job_id


class _Command(NamedTuple):
    """A command, its module in this package by its name; a streaming one ends, if asked to, when its stdin does."""

    help: str
    has_job: bool = False
    is_streaming: bool = False


_COMMANDS = {
    "probe": _Command("answer everything that a plan needs to know of this node"),
    "start": _Command("take the lease, write the job folder and start the job's supervisor"),
    "watch": _Command(
        "write the job's log lines, state and heartbeats until the job has ended", has_job=True, is_streaming=True
    ),
    "read": _Command("write a file of the job's work folder, in pieces", has_job=True, is_streaming=True),
    "stop": _Command("end all processes of the job", has_job=True),
    "status": _Command("tell who holds the lease, and this node's jobs"),
    "versions": _Command("tell which versions are installed here, and how they fit the version matrix"),
    "examine": _Command("answer everything that doctor asks of the place where this runs"),
    "sweep": _Command("tell what dead jobs left on this server, and remove it if asked to"),
    "service": _Command("tell whether this node is in service; take it out, or put it in again"),
    "checkpoint-info": _Command("tell what a conversion or a merge of checkpoints here would make, or what forbids it"),
    "record": _Command("tell what a job ran here, with which versions, on which data, and how it ended", has_job=True),
    "job-output": _Command(
        "tell what a job left here: its yaml, strategy files, and the ranks that have checkpoints", has_job=True
    ),
    "saved-steps": _Command(
        "tell which steps of a job are saved here, and which of their files are whole", has_job=True
    ),
}


def main(words: Sequence[str]) -> int:
    """Run one command and return its exit code; its errors go to stdout as a document, to stderr as a message."""
    options = _parser().parse_args(words)
    try:
        return _answer(options.command, getattr(options, "job", None), _Output())
    except BrokenPipeError:
        # Nobody listens any more. What is left in the buffer must not be tried again at Python's end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="telechat-run node",
        description="Do one step of the node protocol on this node; the other commands call these.",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, command in _COMMANDS.items():
        grammar = commands.add_parser(name, help=command.help, description=f"{command.help.capitalize()}.")
        if command.has_job:
            grammar.add_argument("--job", required=True, metavar="ID", help="the job that it is about")
    return parser


def _answer(name: str, job_id: Optional[str], out: _Output) -> int:
    try:
        request = _request(name, job_id)
        module = importlib.import_module(f"telechat_runtime.node.{name.replace('-', '_')}")
        return int(module.run(request, out.write))
    except TelechatError as error:
        out.write({"error": {"code": error.exit_code, "message": str(error)}})
        sys.stderr.write(f"telechat-run: error: {error}\n")
        return error.exit_code


def _request(name: str, job_id: Optional[str]) -> Dict[str, Any]:
    command, stdin = _COMMANDS[name], sys.stdin.buffer
    request = _parse(stdin.readline() if command.is_streaming else stdin.read())
    if command.is_streaming and request.get("until_eof"):
        _end_with(stdin)
    if job_id is None:
        return request
    return {**request, "job_id": checked_job_id(job_id, option="--job")}


def _parse(text: bytes) -> Dict[str, Any]:
    try:
        request = json.loads(text)
    except ValueError as error:
        raise UsageError(f"stdin is no JSON document: {error}") from error
    if not isinstance(request, dict):
        raise UsageError(f"stdin holds a JSON {type(request).__name__}; the node protocol wants an object")
    return request


class _Output:
    """Writes documents to stdout; the first one, an answer or the first event, says which protocol this is."""

    def __init__(self) -> None:
        self._is_first = True

    def write(self, document: Dict[str, Any]) -> None:
        """Write a document as a line, and at once: the control side shows a log line when it is written."""
        if self._is_first:
            document = {**document, "protocol": PROTOCOL, "version": __version__}
        self._is_first = False
        sys.stdout.write(json.dumps(document) + "\n")
        sys.stdout.flush()


def _end_with(stdin: BinaryIO) -> None:
    def wait() -> None:
        # Unbuffered: a thread that waits inside the buffered stdin holds a lock, and Python dies of that at its end.
        while os.read(stdin.fileno(), 4096):
            pass
        os._exit(0)  # a reader owns nothing that would want cleaning up

    threading.Thread(target=wait, daemon=True).start()
