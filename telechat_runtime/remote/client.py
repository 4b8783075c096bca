# SPDX-License-Identifier: Apache-2.0
"""Speaks the node protocol (docs/architecture.md) with one node, and says in words why a node does not answer it."""

from __future__ import annotations

import json
import re
from typing import Any, Callable, Dict, Iterator, Mapping, NamedTuple, Optional, Sequence, Tuple, Type

from telechat_runtime.cluster.argv import host_argv, node_argv
from telechat_runtime.cluster.topology import Node
from telechat_runtime.errors import ContainerError, PreflightError, ProtocolError, TelechatError, from_exit_code
from telechat_runtime.remote.transport import Result, Stream, Transport

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
        ContainerError,
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
        r"argument COMMAND: invalid choice|No such command",
        PreflightError,
        "the node runtime {runtime} is of another version than this telechat-run",
        "run site.yml: its role telechat_runtime brings this one",
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

    def __init__(self, stream: Stream, explain: Callable[[Result], TelechatError]) -> None:
        self._stream = stream
        self._explain = explain

    def events(self) -> Iterator[Dict[str, Any]]:
        """Yield the node's events; a watch that fails raises the reason, one that merely breaks off just ends."""
        for line in self._stream.lines():
            event = _parse(line)
            if event is not None and "error" in event:
                raise self._explain(Result(0, line, ""))
            if event is not None and "event" in event:
                yield event
        result = self._stream.result()
        if result.exit_code > 0:
            raise self._explain(result)

    def close(self) -> None:
        """End the watch."""
        self._stream.close()


class NodeClient:
    """One node, spoken to over a transport. Every call raises a TelechatError that begins with the node's name."""

    def __init__(self, node: Node, transport: Transport) -> None:
        self.node = node
        self._transport = transport

    def probe(self, request: Mapping[str, Any]) -> Dict[str, Any]:
        """Ask the node everything that a plan needs."""
        return self._call(("probe",), request, timeout=_PROBE_SECONDS)

    def start(self, request: Mapping[str, Any]) -> Dict[str, Any]:
        """Start the node's part of a job."""
        return self._call(("start",), request, timeout=_START_SECONDS)

    def stop(self, job_id: str, job_root: str, grace_seconds: float, *, by: str) -> Dict[str, Any]:
        """End the job's processes on the node: by SIGTERM, and after `grace_seconds` by SIGKILL; `by` is who asks."""
        request = {"job_root": job_root, "grace_seconds": grace_seconds, "by": by}
        return self._call(("stop", "--job", job_id), request, timeout=grace_seconds + _PROBE_SECONDS)

    def status(self) -> Dict[str, Any]:
        """Ask for the lease and the jobs of the node."""
        return self._call(("status",), {"job_root": self.node.job_root}, timeout=_PROBE_SECONDS)

    def examine(self, request: Mapping[str, Any]) -> Dict[str, Any]:
        """Ask the place where jobs run, the container if there is one, for the sections that doctor wants."""
        return self._call(("examine",), request, timeout=_EXAMINE_SECONDS)

    def examine_server(self, request: Mapping[str, Any]) -> Dict[str, Any]:
        """Ask the server itself, outside of the container: kernel and firmware are out of sight in there."""
        return self._answer(host_argv(self.node, "examine"), request, timeout=_EXAMINE_SECONDS)

    def service(self, wish: Optional[Mapping[str, Any]] = None) -> Dict[str, Any]:
        """Ask the server whether it is in service; with a wish first take it out, or put it in."""
        request = {"job_root": self.node.job_root, "set": wish}
        return self._answer(host_argv(self.node, "service"), request, timeout=_PROBE_SECONDS)

    def sweep(self, request: Mapping[str, Any]) -> Dict[str, Any]:
        """Look for what dead jobs left on the server, outside of the container too, and remove it if asked to."""
        return self._answer(host_argv(self.node, "sweep"), request, timeout=_EXAMINE_SECONDS)

    def checkpoint_info(self, request: Mapping[str, Any]) -> Dict[str, Any]:
        """Let the node judge a conversion or merge of checkpoints by their headers."""
        return self._call(("checkpoint-info",), request, timeout=_HEADERS_SECONDS)

    def job_output(self, job_id: str, job_root: str) -> Dict[str, Any]:
        """Ask what a job left on the node: yaml, strategy files, ranks with checkpoints."""
        return self._call(("job-output", "--job", job_id), {"job_root": job_root}, timeout=_PROBE_SECONDS)

    def saved_steps(self, job_id: str, *, ranks: Sequence[int], output: str) -> Dict[str, Any]:
        """Ask which steps of a job are saved on the node for those ranks, and which of their files are whole."""
        request = {"job_root": self.node.job_root, "ranks": list(ranks), "output": output}
        return self._call(("saved-steps", "--job", job_id), request, timeout=_HEADERS_SECONDS)

    def record(self, job_id: str, job_root: str, *, replay: bool = False) -> Dict[str, Any]:
        """Ask for the record of a job; with `replay` also for what is needed to run it again, secrets and all."""
        request = {"job_root": job_root, "replay": replay}
        return self._call(("record", "--job", job_id), request, timeout=_START_SECONDS)

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
        return Watch(self._transport.stream(argv, _document(request)), self._explain)

    def read(self, job_id: str, job_root: str, path: str) -> Watch:
        """Read a file of the job's work folder: `data` events in base64, and an `end` event with the sha256."""
        request = {"job_root": job_root, "path": path, "until_eof": True}
        argv = node_argv(self.node, "read", "--job", job_id)
        return Watch(self._transport.stream(argv, _document(request)), self._explain)

    def close(self) -> None:
        """Let go of the node."""
        self._transport.close()

    def _call(self, words: Tuple[str, ...], request: Mapping[str, Any], *, timeout: float) -> Dict[str, Any]:
        return self._answer(node_argv(self.node, *words), request, timeout=timeout)

    def _answer(self, argv: Sequence[str], request: Mapping[str, Any], *, timeout: float) -> Dict[str, Any]:
        result = self._transport.run(argv, _document(request), timeout=timeout)
        answer = _last_document(result.stdout)
        if result.exit_code != 0 or answer is None:
            raise self._explain(result)
        return answer

    def _explain(self, result: Result) -> TelechatError:
        name = self.node.name
        answer = _last_document(result.stdout)
        if answer is not None and "error" in answer:
            error = answer["error"]
            return from_exit_code(int(error.get("code", result.exit_code)), f"{name}: {error.get('message', '')}")
        words = {
            "container": self.node.container,
            "python": self.node.python,
            "runtime": self.node.runtime_path or "of this interpreter",
        }
        for cause in _CAUSES:
            if re.search(cause.pattern.replace("{python}", re.escape(self.node.python)), result.stderr):
                return cause.error(
                    f"{name}: {cause.message.format(**words)}", next_step=cause.next_step.format(**words)
                )
        said = " / ".join(result.stderr.strip().splitlines()[-_LAST_LINES:]) or "nothing"
        return ProtocolError(f"{name}: the node runtime ended with exit code {result.exit_code}; it said: {said}")


def _document(request: Mapping[str, Any]) -> bytes:
    return json.dumps(request).encode() + b"\n"


def _parse(line: str) -> Optional[Dict[str, Any]]:
    try:
        document = json.loads(line)
    except ValueError:
        return None
    return document if isinstance(document, dict) else None


def _last_document(text: str) -> Optional[Dict[str, Any]]:
    lines = text.strip().splitlines()
    return _parse(lines[-1]) if lines else None
