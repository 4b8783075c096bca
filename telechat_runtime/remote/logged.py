# SPDX-License-Identifier: Apache-2.0
"""A transport that notes each command, its end and its stderr; what goes over stdin and stdout is the job's own."""

from __future__ import annotations

import itertools
import time
from typing import Iterator, Sequence

from telechat_runtime import wire_log
from telechat_runtime.errors import TelechatError
from telechat_runtime.redaction import shell_text
from telechat_runtime.remote.transport import Result, Stream, Transport

_numbers = itertools.count(1)


class LoggedTransport:
    """Runs commands over another transport."""

    def __init__(self, name: str, transport: Transport) -> None:
        self._name = name
        self._transport = transport

    def run(self, argv: Sequence[str], stdin: bytes = b"", *, timeout: float = 60) -> Result:
        """Run a command to its end; `timeout` in seconds."""
        command = _Command(self._name, argv, stdin)
        try:
            result = self._transport.run(argv, stdin, timeout=timeout)
        except TelechatError as error:
            command.failed(error)
            raise
        command.ended(result, f", {len(result.stdout)} characters")
        return result

    def stream(self, argv: Sequence[str], stdin: bytes = b"") -> Stream:
        """Start a command and return its stream of lines."""
        command = _Command(self._name, argv, stdin)
        try:
            return LoggedStream(self._transport.stream(argv, stdin), command)
        except TelechatError as error:
            command.failed(error)
            raise

    def close(self) -> None:
        """Close the other transport."""
        self._transport.close()


class LoggedStream:
    """The stream of a command that is noted."""

    def __init__(self, stream: Stream, command: _Command) -> None:
        self._stream = stream
        self._command = command

    def lines(self) -> Iterator[str]:
        """Yield the lines of stdout until the command ends or `close` is called."""
        count = 0
        for line in self._stream.lines():
            count += 1
            yield line
        self._command.note(f"no more output after {count} lines")

    def result(self) -> Result:
        """Return exit code and stderr."""
        result = self._stream.result()
        self._command.ended(result)
        return result

    def close(self) -> None:
        """Close the stream."""
        self._stream.close()


class _Command:
    """A command by the number that its lines carry: many run at once."""

    def __init__(self, node: str, argv: Sequence[str], stdin: bytes) -> None:
        self._prefix = f"{node} #{next(_numbers)}"
        self._begin = time.monotonic()
        self.note(f"run {shell_text(argv)} (request of {len(stdin)} bytes)")

    def note(self, text: str) -> None:
        wire_log.note("node", "%s: %s", self._prefix, text)

    def ended(self, result: Result, more: str = "") -> None:
        self.note(f"exit code {result.exit_code} after {time.monotonic() - self._begin:.2f} s{more}")
        for line in result.stderr.splitlines():
            self.note(f"stderr: {line}")

    def failed(self, error: TelechatError) -> None:
        self.note(f"{error.message} (after {time.monotonic() - self._begin:.2f} s)")
