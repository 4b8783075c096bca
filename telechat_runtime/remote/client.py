# SPDX-License-Identifier: Apache-2.0
"""Speaks the node protocol (docs/architecture.md) with one node; says in words why a node does not answer it."""

from __future__ import annotations

import json
import re
from typing import Any, Callable, Dict, Iterator, Mapping, NamedTuple, Optional, Sequence, Type, TypeVar

from telechat_runtime import PROTOCOL, wire_log
from telechat_runtime.ascend.schema import NewerSchemaError, check_schema
from telechat_runtime.cluster.argv import host_argv, node_argv
from telechat_runtime.cluster.topology import Node
from telechat_runtime.errors import (
    ContainerError,
    ContainerStoppedError,
    ExitCode,
    NodeRuntimeError,
    PreflightError,
    ProtocolError,
    TelechatError,
    from_exit_code,
)
from telechat_runtime.job import schemas
from telechat_runtime.job.paths import JobPaths, checked_job_id
from telechat_runtime.remote.answers.checkpoints import (
    CheckpointInfo,
    CheckpointJudgement,
    ConversionInfo,
    JobOutputAnswer,
    SavedStepsAnswer,
)
from telechat_runtime.remote.answers.examine import SEEN_OR_NOTHING, ExamineAnswer
from telechat_runtime.remote.answers.jobs import StartAnswer, StatusAnswer, StopAnswer, SweepAnswer
from telechat_runtime.remote.answers.probe import ProbeAnswer, ServiceAnswer
from telechat_runtime.remote.answers.record import RecordAnswer
from telechat_runtime.remote.events import Event, read_event
from telechat_runtime.remote.protocol import (
    UPGRADE_CONTROL,
    UPGRADE_NODE,
    FailedAnswer,
    Speaker,
    check_may_start,
    protocol_error,
    read_answer,
    speaker,
)
from telechat_runtime.remote.transport import Result, Stream, Transport

T = TypeVar("T")
# A node that starts, or ends, its processes may be slow: it is on the edge of its memory, or its disk is.
_START_SECONDS = 120.0
_PROBE_SECONDS = 60.0
_HEADERS_SECONDS = 600.0  # a thousand headers in each of many files, on storage that others use too
_EXAMINE_SECONDS = 120.0  # npu-smi asks every chip
_LAST_LINES = 3


class _Cause(NamedTuple):
    pattern: str
    error: Type[TelechatError]
    message: str
    next_step: str


# What stands on stderr when a command never got to the node's runtime. {container}, {python}, {runtime} are the node's.
_CAUSES = (
    _Cause(
        r"No such container|is not running|is paused|is restarting",
        ContainerStoppedError,
        "the container {container!r} is not running",
        "run site.yml again, or `docker start {container}` on the node",
    ),
    _Cause(
        r"permission denied .*docker|docker.*[Pp]ermission denied",
        ContainerError,
        "its user may not use Docker",
        "set ansible_become: true for the host, or add the user to the group docker",
    ),
    _Cause(
        r"Cannot connect to the Docker daemon",
        ContainerError,
        "Docker is not running",
        "run site.yml again, or `systemctl start docker` on the node",
    ),
    _Cause(r"docker: .*not found|docker: No such file", ContainerError, "Docker is not installed", "run site.yml"),
    _Cause(
        r"sudo: a (terminal|password) is required|sudo: sorry|not in the sudoers",
        PreflightError,
        "sudo asks for a password (ansible_become is set)",
        "let the user run sudo without a password, or log in as root",
    ),
    _Cause(
        r"can't open file .*No such file|can't find '__main__'|No module named",
        PreflightError,
        "the node runtime {runtime} is missing or broken",
        "run site.yml: its role telechat_runtime installs it",
    ),
    _Cause(
        r"argument COMMAND: invalid choice|No such command|unrecognized arguments",
        ProtocolError,
        "the node runtime {runtime} is older than this telechat-run, and does not know this command",
        UPGRADE_NODE,
    ),
    _Cause(
        r"executable file not found|{python}: .*(not found|No such file)",
        PreflightError,
        "no interpreter {python!r} (telechat_python)",
        "set telechat_python to the interpreter with MindSpore",
    ),
)


class Watch:
    """The events of a job on one node; `close` ends them from any thread."""

    def __init__(self, node: str, stream: Stream, explain: Callable[[Result], TelechatError]) -> None:
        self._node = node
        self._stream = stream
        self._explain = explain

    def events(self) -> Iterator[Event]:
        """Yield the node's events; a watch that fails raises the reason, one that merely breaks off just ends.

        Raises ProtocolError for an event that is not what the protocol says.
        """
        runtime: Optional[Speaker] = None
        for line in self._stream.lines():
            document = _parse(line)
            if document is not None and "error" in document:
                raise self._explain(Result(0, line, ""))
            if document is not None and "event" in document:
                runtime = runtime or speaker(document)
                event = read_event(document, runtime, node=self._node)
                if event is not None:
                    yield event
        result = self._stream.result()
        if result.exit_code > 0:
            raise self._explain(result)

    def close(self) -> None:
        """End the watch."""
        self._stream.close()


class NodeClient:
    """One node, spoken to over a transport. Every call raises a TelechatError that names the node.

    An answer that is not what the protocol says is a ProtocolError.
    """

    def __init__(self, node: Node, transport: Transport) -> None:
        self.node = node
        self._transport = transport

    def probe(self, request: Mapping[str, Any]) -> ProbeAnswer:
        """Ask the node everything that the plan of a new job needs; its runtime has to be of the same protocol."""
        document = self._call(node_argv(self.node, "probe"), request, timeout=_PROBE_SECONDS)
        check_may_start(document, node=self.node.name)
        return self._read(ProbeAnswer, document, "probe")

    def start(self, request: Mapping[str, Any]) -> StartAnswer:
        """Start the node's part of a job."""
        return self._ask(StartAnswer, "start", request, timeout=_START_SECONDS)

    def stop(self, job_id: str, job_root: str, grace_seconds: float, *, by: str) -> StopAnswer:
        """End the job's processes on the node: by SIGTERM, and after `grace_seconds` by SIGKILL; `by` is who asks."""
        request = {"job_root": job_root, "grace_seconds": grace_seconds, "by": by}
        return self._ask(StopAnswer, "stop", request, job_id=job_id, timeout=grace_seconds + _PROBE_SECONDS)

    def status(self) -> StatusAnswer:
        """Ask for the lease and the jobs of the node."""
        return self._ask(StatusAnswer, "status", {"job_root": self.node.job_root}, timeout=_PROBE_SECONDS)

    def examine(self, request: Mapping[str, Any]) -> ExamineAnswer:
        """Ask the place where jobs run, the container if there is one, for the sections that doctor wants."""
        return self._examine(node_argv(self.node, "examine"), request)

    def examine_server(self, request: Mapping[str, Any]) -> ExamineAnswer:
        """Ask the server itself, outside of the container: kernel and firmware are out of sight in there."""
        return self._examine(host_argv(self.node, "examine"), request)

    def service(self, wish: Optional[Mapping[str, Any]] = None) -> ServiceAnswer:
        """Ask the server whether it is in service; with a wish first take it out, or put it in."""
        request = {"job_root": self.node.job_root, "set": wish}
        document = self._call(host_argv(self.node, "service"), request, timeout=_PROBE_SECONDS)
        return self._read(ServiceAnswer, document, "service")

    def sweep(self, request: Mapping[str, Any]) -> SweepAnswer:
        """Look for what dead jobs left on the server, outside of the container too, and remove it if asked to."""
        document = self._call(host_argv(self.node, "sweep"), request, timeout=_EXAMINE_SECONDS)
        return self._read(SweepAnswer, document, "sweep")

    def checkpoint_info(self, request: Mapping[str, Any]) -> CheckpointInfo:
        """Let the node judge a conversion or merge by headers. Raises PreflightError with what forbids it."""
        return self._judged(CheckpointInfo, request)

    def conversion_info(self, request: Mapping[str, Any]) -> ConversionInfo:
        """Let the node say what a conversion makes, or has made. Raises PreflightError with what forbids it."""
        return self._judged(ConversionInfo, request)

    def job_output(self, job_id: str, job_root: str) -> JobOutputAnswer:
        """Ask what a job left on the node: yaml, strategy files, ranks with checkpoints."""
        request = {"job_root": job_root}
        return self._ask(JobOutputAnswer, "job-output", request, job_id=job_id, timeout=_PROBE_SECONDS)

    def saved_steps(self, job_id: str, *, ranks: Sequence[int], output: str) -> SavedStepsAnswer:
        """Ask which steps of a job are saved on the node for those ranks, and which of their files are whole."""
        request = {"job_root": self.node.job_root, "ranks": list(ranks), "output": output}
        return self._ask(SavedStepsAnswer, "saved-steps", request, job_id=job_id, timeout=_HEADERS_SECONDS)

    def record(self, job_id: str, job_root: str, *, replay: bool = False) -> RecordAnswer:
        """Ask for the record of a job; with `replay` also for what is needed to run it again, secrets and all.

        Raises ProtocolError for one that a newer release wrote.
        """
        paths = JobPaths(job_root, checked_job_id(job_id))
        request = {"job_root": job_root, "replay": replay}
        argv = node_argv(self.node, "record", "--job", job_id)
        document = self._call(argv, request, timeout=_START_SECONDS)
        self._check_schema(document.get("record"), schemas.RECORD, paths.record)
        self._check_schema(document.get("start"), schemas.NODE_PLAN, paths.plan)
        return self._read(RecordAnswer, document, "record")

    def watch(
        self,
        job_id: str,
        job_root: str,
        *,
        ranks: Optional[Sequence[int]],
        offsets: Optional[Mapping[str, int]] = None,
        tail: Optional[int] = None,
        since: Optional[float] = None,
    ) -> Watch:
        """Follow a job: log lines of `ranks` (None: all logs) from the byte `offsets` on, states, heartbeats.

        A log without an offset begins with its last `tail` lines, or with what is not older than `since` (Unix time);
        where each begins is the first event then.
        """
        request = {
            "job_root": job_root,
            "ranks": None if ranks is None else list(ranks),
            "offsets": dict(offsets or {}),
            "until_eof": True,
            "tail": tail,
            "since": since,
        }
        argv = node_argv(self.node, "watch", "--job", job_id)
        return Watch(self.node.name, self._transport.stream(argv, _document(request)), self._explain)

    def read(self, job_id: str, job_root: str, path: str) -> Watch:
        """Read a file of the job's work folder: `data` events in base64, and an `end` event with the sha256."""
        request = {"job_root": job_root, "path": path, "until_eof": True}
        argv = node_argv(self.node, "read", "--job", job_id)
        return Watch(self.node.name, self._transport.stream(argv, _document(request)), self._explain)

    def close(self) -> None:
        """Let go of the node."""
        self._transport.close()

    def _ask(
        self, cls: Type[T], command: str, request: Mapping[str, Any], *, timeout: float, job_id: Optional[str] = None
    ) -> T:
        words = [command, *(["--job", checked_job_id(job_id)] if job_id is not None else [])]
        return self._read(cls, self._call(node_argv(self.node, *words), request, timeout=timeout), command)

    def _examine(self, argv: Sequence[str], request: Mapping[str, Any]) -> ExamineAnswer:
        document = self._call(argv, request, timeout=_EXAMINE_SECONDS)
        missing = [
            name
            for name in ("clock", *request["sections"])
            if name not in document or (document[name] is None and name not in SEEN_OR_NOTHING)
        ]
        if missing:
            problem = f"the answer to examine lacks {', '.join(missing)}"
            raise protocol_error(self.node.name, problem, speaker(document))
        return self._read(ExamineAnswer, document, "examine")

    def _check_schema(self, document: Any, known: int, path: str) -> None:
        try:
            check_schema(document if isinstance(document, dict) else {}, known, path)
        except NewerSchemaError as error:
            raise ProtocolError(str(error), next_step=UPGRADE_CONTROL, node=self.node.name) from error

    def _judged(self, cls: Type[T], request: Mapping[str, Any]) -> T:
        document = self._call(node_argv(self.node, "checkpoint-info"), request, timeout=_HEADERS_SECONDS)
        problem = self._read(CheckpointJudgement, document, "checkpoint-info").problem
        if problem is not None:
            raise PreflightError(problem, node=self.node.name)
        return self._read(cls, document, "checkpoint-info")

    def _read(self, cls: Type[T], document: Mapping[str, Any], command: str) -> T:
        return read_answer(cls, document, node=self.node.name, command=command)

    def _call(self, argv: Sequence[str], request: Mapping[str, Any], *, timeout: float) -> Dict[str, Any]:
        wire_log.hide(request)
        result = self._transport.run(argv, _document(request), timeout=timeout)
        answer = _last_document(result.stdout)
        if result.exit_code != 0 or answer is None or "error" in answer:
            raise self._explain(result)
        return answer

    def _explain(self, result: Result) -> TelechatError:
        name = self.node.name
        answer = _last_document(result.stdout)
        if answer is not None and "error" in answer:
            return self._failure(answer)
        words = {
            "container": self.node.container,
            "python": self.node.python,
            "runtime": self.node.runtime_path or "of this interpreter",
        }
        for cause in _CAUSES:
            if re.search(cause.pattern.replace("{python}", re.escape(self.node.python)), result.stderr):
                return cause.error(cause.message.format(**words), next_step=cause.next_step.format(**words), node=name)
        said = " / ".join(result.stderr.strip().splitlines()[-_LAST_LINES:]) or "nothing"
        return NodeRuntimeError(
            f"the node runtime ended with exit code {result.exit_code}; it said: {said}",
            next_step=UPGRADE_NODE,
            node=name,
        )

    def _failure(self, answer: Mapping[str, Any]) -> TelechatError:
        name = self.node.name
        try:
            error = read_answer(FailedAnswer, answer, node=name, command="a command that failed").error
        except ProtocolError as protocol_fault:
            return protocol_fault
        runtime = speaker(answer)
        if error.code == ExitCode.USAGE and runtime.protocol != PROTOCOL:
            return protocol_error(name, f"it does not understand the request: {error.message}", runtime)
        return from_exit_code(error.code, error.message, node=name)


def _document(request: Mapping[str, Any]) -> bytes:
    return json.dumps({**request, "protocol": PROTOCOL}).encode() + b"\n"


def _parse(line: str) -> Optional[Dict[str, Any]]:
    try:
        document = json.loads(line)
    except ValueError:
        return None
    return document if isinstance(document, dict) else None


def _last_document(text: str) -> Optional[Dict[str, Any]]:
    lines = text.strip().splitlines()
    return _parse(lines[-1]) if lines else None
