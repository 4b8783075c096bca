# SPDX-License-Identifier: Apache-2.0
"""The transport to this machine itself: subprocesses, no SSH."""

from __future__ import annotations

import contextlib
import subprocess
import tempfile
from typing import IO, Iterator, Sequence, cast

from telechat_runtime.errors import UnreachableError
from telechat_runtime.remote.transport import Result

_COMMAND_NOT_FOUND = 127


class LocalTransport:
    """Runs commands on this machine, each in a session of its own: the terminal's Ctrl-C is ours to handle."""

    def __init__(self, name: str) -> None:
        self._name = name

    def run(self, argv: Sequence[str], stdin: bytes = b"", *, timeout: float = 60) -> Result:
        """Run a command to its end; `timeout` in seconds."""
        try:
            done = subprocess.run(
                list(argv), input=stdin, capture_output=True, timeout=timeout, start_new_session=True, check=False
            )
        except subprocess.TimeoutExpired as error:
            raise UnreachableError(f"no answer from {argv[0]} within {timeout:g} s", node=self._name) from error
        except OSError as error:
            return Result(_COMMAND_NOT_FOUND, "", f"{argv[0]}: {error.strerror}")
        return Result(done.returncode, _text(done.stdout), _text(done.stderr))

    def stream(self, argv: Sequence[str], stdin: bytes = b"") -> LocalStream:
        """Start a command and return its stream of lines."""
        try:
            return LocalStream(argv, stdin)
        except OSError as error:
            raise UnreachableError(f"{argv[0]}: {error.strerror}", node=self._name) from error

    def close(self) -> None:
        """Nothing is held."""


class LocalStream:
    """A running subprocess; stderr goes to a file, so that it can't fill a pipe that nobody reads."""

    def __init__(self, argv: Sequence[str], stdin: bytes) -> None:
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the stream
        try:
            self._process = subprocess.Popen(
                list(argv),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._stderr,
                start_new_session=True,
            )
        except OSError:
            self._stderr.close()
            raise
        self._stdin = cast("IO[bytes]", self._process.stdin)
        self._stdout = cast("IO[bytes]", self._process.stdout)
        with contextlib.suppress(BrokenPipeError):
            self._stdin.write(stdin)
            self._stdin.flush()

    def lines(self) -> Iterator[str]:
        """Yield the lines of stdout until the command ends."""
        for line in self._stdout:
            yield _text(line).rstrip("\n")

    def result(self) -> Result:
        """Wait for the end and return exit code and stderr."""
        code = self._process.wait()
        self.close()
        with self._stdout, self._stderr:
            self._stderr.seek(0)
            return Result(code, "", _text(self._stderr.read()))

    def close(self) -> None:
        """Close stdin and end the command."""
        with contextlib.suppress(OSError):
            self._stdin.close()
        if self._process.poll() is None:
            self._process.terminate()


def _text(data: bytes) -> str:
    return data.decode(errors="replace")
