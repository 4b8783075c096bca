# SPDX-License-Identifier: Apache-2.0
"""The wish to stop, as a value that every stage looks at: nothing is torn out of the middle of a start or a stop."""

from __future__ import annotations

import threading

from telechat_runtime.errors import InterruptedByUserError


class Interrupt:
    """Counts the user's Ctrl-C; safe to call from a signal handler and from any thread."""

    def __init__(self) -> None:
        self._count = 0
        self._event = threading.Event()

    def request(self) -> int:
        """Note one more Ctrl-C and return how many there were."""
        self._count += 1
        self._event.set()
        return self._count

    @property
    def requested(self) -> bool:
        """Tell whether the user wants to stop."""
        return self._event.is_set()

    @property
    def forced(self) -> bool:
        """Tell whether the user asked twice: stop now, without grace."""
        return self._count > 1

    def check(self, doing: str) -> None:
        """Raise InterruptedByUserError when the user wants to stop."""
        if self.requested:
            raise InterruptedByUserError(f"interrupted while {doing}")
