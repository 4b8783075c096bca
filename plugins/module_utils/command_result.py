# SPDX-License-Identifier: Apache-2.0
"""What a command of the host answered, and the one type through which a look or a step runs commands."""

from __future__ import annotations

from typing import Callable, List, NamedTuple


class Result(NamedTuple):
    """Exit code and decoded output of one finished command; rc 127 when the program does not exist."""

    rc: int
    stdout: str
    stderr: str


Run = Callable[[List[str]], Result]
"""Run an argv list on the host, never through a shell. Never raises: a missing program answers rc 127."""
