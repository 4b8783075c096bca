# SPDX-License-Identifier: Apache-2.0
"""The wish to stop, as a value that every stage looks at: nothing is torn out of the middle of a start or a stop."""

from __future__ import annotations

import threading
import time

from telechat_runtime.errors import InterruptedByUserError

_POLL_SECONDS = 0.2


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

    def wait(self, seconds: float) -> None:
        """Let `seconds` pass, or less when the user wants to stop."""
        # Not the event's own wait: a signal handler that sets the event may find its lock held by this very thread.
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and not self.requested:
            time.sleep(min(_POLL_SECONDS, seconds))

    def check(self, doing: str) -> None:
        """Raise InterruptedByUserError when the user wants to stop."""
        if self.requested:
            raise InterruptedByUserError(f"interrupted while {doing}")
