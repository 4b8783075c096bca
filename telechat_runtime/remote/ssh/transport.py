# SPDX-License-Identifier: Apache-2.0
"""Runs commands on a node: a channel for each, all on one connection."""

from __future__ import annotations

import contextlib
import threading
import time
from typing import Iterator, List, Optional, Sequence

import paramiko

from telechat_runtime.cluster.topology import Connection
from telechat_runtime.errors import UnreachableError
from telechat_runtime.redaction import shell_text
from telechat_runtime.remote.ssh.connector import SshConnector
from telechat_runtime.remote.transport import Result

_SESSION_SECONDS = 10
_STDERR_LIMIT = 64 * 1024
_READ_SIZE = 32 * 1024
# What paramiko raises on a connection that has ended under it.
_GONE = (OSError, EOFError, paramiko.SSHException)


class SshTransport:
    """Runs commands on one node over one connection, opened when it is first needed and again when it was lost."""

    def __init__(self, name: str, connection: Connection, connector: SshConnector) -> None:
        self._name = name
        self._connection = connection
        self._connector = connector
        self._client: Optional[paramiko.SSHClient] = None
        self._lock = threading.Lock()

    def run(self, argv: Sequence[str], stdin: bytes = b"", *, timeout: float = 60) -> Result:
        """Run a command to its end; `timeout` in seconds."""
        deadline = time.monotonic() + timeout
        stream = self.stream(argv, stdin)
        stream.end_input()
        try:
            stdout = b"".join(stream.chunks(deadline))
            result = stream.result()
        except (OSError, EOFError) as error:  # paramiko's socket.timeout is an OSError
            raise UnreachableError(f"no answer from {argv[0]} within {timeout:g} s", node=self._name) from error
        finally:
            stream.close()
        if result.exit_code < 0:
            raise UnreachableError(f"the connection was lost while {argv[0]} ran", node=self._name)
        return Result(result.exit_code, stdout.decode(errors="replace"), result.stderr)

    def stream(self, argv: Sequence[str], stdin: bytes = b"") -> SshStream:
        """Start a command and return its stream of lines."""
        channel = self._channel()
        try:
            return SshStream(channel, argv, stdin)
        except _GONE as error:
            raise UnreachableError("the connection was lost", node=self._name) from error

    def close(self) -> None:
        """Close the connection."""
        if self._client is not None:
            self._client.close()

    def _channel(self) -> paramiko.Channel:
        with self._lock:
            transport = self._client.get_transport() if self._client else None
            if transport is None or not transport.is_active():
                try:
                    self._client = self._connector.connect(self._connection)
                except UnreachableError as error:
                    raise type(error)(error.detail, next_step=error.next_step, node=self._name) from error
                transport = self._client.get_transport()
        if transport is None:
            raise UnreachableError("the connection was closed", node=self._name)
        try:
            return transport.open_session(timeout=_SESSION_SECONDS)
        except _GONE as error:
            raise UnreachableError(f"can't open a session: {error}", node=self._name) from error


class SshStream:
    """A command on a channel; a thread takes its stderr, so that neither output can block the other."""

    def __init__(self, channel: paramiko.Channel, argv: Sequence[str], stdin: bytes) -> None:
        self._channel = channel
        self._stderr: List[bytes] = []
        self._stderr_thread = threading.Thread(target=self._read_stderr, daemon=True)
        channel.exec_command(shell_text(argv))
        self._stderr_thread.start()
        # A command may end without reading its input: its exit code then says why.
        with contextlib.suppress(OSError):
            channel.sendall(stdin)

    def lines(self) -> Iterator[str]:
        """Yield the lines of stdout until the command ends or `close` is called."""
        rest = b""
        for chunk in self.chunks(None):
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                yield line.decode(errors="replace")
        if rest:
            yield rest.decode(errors="replace")

    def chunks(self, deadline: Optional[float]) -> Iterator[bytes]:
        """Yield stdout as it comes; raises OSError when `deadline` (monotonic clock) passes."""
        while True:
            self._channel.settimeout(None if deadline is None else max(0.0, deadline - time.monotonic()))
            chunk = self._channel.recv(_READ_SIZE)
            if not chunk:
                return
            yield chunk

    def result(self) -> Result:
        """Return exit code (-1: the connection was lost) and stderr."""
        code = self._channel.recv_exit_status()
        self._stderr_thread.join()
        self.close()
        return Result(code, "", b"".join(self._stderr).decode(errors="replace"))

    def end_input(self) -> None:
        """Close the command's stdin."""
        with contextlib.suppress(*_GONE):
            self._channel.shutdown_write()

    def close(self) -> None:
        """Close the channel: the command's stdin ends, and so do `lines`."""
        with contextlib.suppress(*_GONE):
            self._channel.close()

    def _read_stderr(self) -> None:
        size = 0
        with contextlib.suppress(OSError):
            while chunk := self._channel.recv_stderr(_READ_SIZE):
                if size < _STDERR_LIMIT:
                    self._stderr.append(chunk)
                    size += len(chunk)
