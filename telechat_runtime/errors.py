# SPDX-License-Identifier: Apache-2.0
"""Every error a user can cause or meet, each with the exit code that docs/cli.md promises.

A message says what, which value, which rule and the next step. The classes stand in the order of their exit codes.
"""

from __future__ import annotations

from typing import Dict, Sequence, Tuple, Type


class TelechatError(Exception):
    """An error with an exit code; `next_step` tells the user what to do about it."""

    exit_code = 1

    def __init__(self, message: str, *, next_step: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.next_step = next_step

    def __str__(self) -> str:
        return f"{self.message}\n  next: {self.next_step}" if self.next_step else self.message


class JobFailedError(TelechatError):
    """The job ran, and failed on at least one node."""

    exit_code = 1


class UsageError(TelechatError):
    """The command line asks for something that makes no sense."""

    exit_code = 2


class SpecError(TelechatError):
    """The job as asked for can't be run on this cluster."""

    exit_code = 3


class ConfigError(SpecError):
    """The MindFormers yaml, or an override of it, is invalid."""


class DataError(TelechatError):
    """A file of training data, or a tokenizer, is not what it has to be."""

    exit_code = 3


class InventoryError(TelechatError):
    """The inventory breaks its contract (inventory/README.md); `problems` holds one message per violation."""

    exit_code = 3

    def __init__(self, problems: Sequence[str], *, next_step: str = "") -> None:
        super().__init__("\n".join(problems), next_step=next_step)
        self.problems: Tuple[str, ...] = tuple(problems)


class UnreachableError(TelechatError):
    """A node can't be reached, or does not answer as the node protocol says."""

    exit_code = 4


class UntrustedHostError(UnreachableError):
    """A host key is unknown or has changed."""


class ProtocolError(UnreachableError):
    """A node is reached, but what answers there is not the node protocol."""


class PreflightError(TelechatError):
    """A node can't take the job now: busy, container not running, a path missing, a port taken."""

    exit_code = 5


class ContainerError(PreflightError):
    """A node's container does not run, or Docker itself does not."""


class InterruptedByUserError(TelechatError):
    """The user pressed Ctrl-C (or the process was told to end)."""

    exit_code = 130


_BY_EXIT_CODE: Dict[int, Type[TelechatError]] = {
    1: JobFailedError,
    2: UsageError,
    3: SpecError,
    4: UnreachableError,
    5: PreflightError,
    130: InterruptedByUserError,
}


def from_exit_code(exit_code: int, message: str) -> TelechatError:
    """Return the error that a node's exit code stands for; an undocumented code means that the node can't be used."""
    return _BY_EXIT_CODE.get(exit_code, UnreachableError)(message)
