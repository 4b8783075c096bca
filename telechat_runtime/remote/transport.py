# SPDX-License-Identifier: Apache-2.0
"""How a command gets to a node: run it to its end, or stream its lines. `local` and `ssh` implement this."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Iterator, Protocol, Sequence


@dataclass(frozen=True)
class Result:
    """What a command left behind."""

    exit_code: int
    stdout: str
    stderr: str


class Stream(Protocol):
    """A running command whose stdout is read line by line; its stdin stays open until `close`."""

    def lines(self) -> Iterator[str]:
        """Yield the lines of stdout, without their line ends, until the command ends or `close` is called."""

    def result(self) -> Result:
        """Return exit code and stderr once `lines` has ended; stdout is empty."""

    def close(self) -> None:
        """End the command's input and stop reading; may be called from any thread, and twice."""


class Transport(Protocol):
    """A way to run argv lists on one node. Raises UnreachableError when the node can't be reached or trusted."""

    def run(self, argv: Sequence[str], stdin: bytes = b"", *, timeout: float = 60) -> Result:
        """Run a command to its end; `timeout` in seconds."""

    def stream(self, argv: Sequence[str], stdin: bytes = b"") -> Stream:
        """Start a command and return its stream of lines."""

    def close(self) -> None:
        """Let go of the node."""
