# SPDX-License-Identifier: Apache-2.0
"""Every error a user can cause or meet, each with the exit code that docs/cli.md promises.

A message says what, which value, which rule and the next step. The classes stand in the order of their exit codes.
"""

from __future__ import annotations

import enum
from typing import Dict, Sequence, Tuple, Type


class ExitCode(enum.IntEnum):
    """The exit codes of telechat-run and of its node commands, as docs/cli.md promises them."""

    OK = 0
    JOB_FAILED = 1
    USAGE = 2
    INVALID = 3
    NODE_UNUSABLE = 4
    PREFLIGHT = 5
    INTERRUPTED = 130


class TelechatError(Exception):
    """An error with an exit code; `next_step` tells the user what to do about it.

    `node` names the node that it happened on, if it was one: `message` begins with it, `detail` does without.
    """

    exit_code: int = ExitCode.JOB_FAILED

    def __init__(self, message: str, *, next_step: str = "", node: str = "") -> None:
        self.node = node
        self.detail = message
        self.message = f"{node}: {message}" if node else message
        self.next_step = next_step
        super().__init__(self.message)

    def __str__(self) -> str:
        return f"{self.message}\n  next: {self.next_step}" if self.next_step else self.message


class JobFailedError(TelechatError):
    """The job ran, and failed on at least one node."""

    exit_code = ExitCode.JOB_FAILED


class UsageError(TelechatError):
    """The command line asks for something that makes no sense."""

    exit_code = ExitCode.USAGE


class SpecError(TelechatError):
    """The job as asked for can't be run on this cluster."""

    exit_code = ExitCode.INVALID


class ConfigError(SpecError):
    """The MindFormers yaml, or an override of it, is invalid."""


class DataError(TelechatError):
    """A file of training data, or a tokenizer, is not what it has to be."""

    exit_code = ExitCode.INVALID


class InventoryError(TelechatError):
    """The inventory breaks its contract (inventory/README.md); `problems` holds one message per violation."""

    exit_code = ExitCode.INVALID

    def __init__(self, problems: Sequence[str], *, next_step: str = "") -> None:
        super().__init__("\n".join(problems), next_step=next_step)
        self.problems: Tuple[str, ...] = tuple(problems)


class UnreachableError(TelechatError):
    """A node can't be reached, or does not answer as the node protocol says."""

    exit_code = ExitCode.NODE_UNUSABLE


class UntrustedHostError(UnreachableError):
    """A host key is unknown or has changed."""


class NodeRuntimeError(UnreachableError):
    """A node is reached, but its runtime ends without an answer."""


class ProtocolError(NodeRuntimeError):
    """A node is reached, but its runtime and this telechat-run do not understand each other."""


class PreflightError(TelechatError):
    """A node can't take the job now: busy, container not running, a path missing, a port taken."""

    exit_code = ExitCode.PREFLIGHT


class ContainerError(PreflightError):
    """A node's container does not run, or Docker itself does not."""


class ContainerStoppedError(ContainerError):
    """A node's container does not run, on a Docker that does."""


class InterruptedByUserError(TelechatError):
    """The user pressed Ctrl-C (or the process was told to end)."""

    exit_code = ExitCode.INTERRUPTED


_BY_EXIT_CODE: Dict[int, Type[TelechatError]] = {
    ExitCode.JOB_FAILED: JobFailedError,
    ExitCode.USAGE: UsageError,
    ExitCode.INVALID: SpecError,
    ExitCode.NODE_UNUSABLE: UnreachableError,
    ExitCode.PREFLIGHT: PreflightError,
    ExitCode.INTERRUPTED: InterruptedByUserError,
}


def from_exit_code(exit_code: int, message: str, *, node: str = "") -> TelechatError:
    """Return the error that a node's exit code stands for; an undocumented code means that the node can't be used."""
    return _BY_EXIT_CODE.get(exit_code, UnreachableError)(message, node=node)
