# SPDX-License-Identifier: Apache-2.0
"""A control side that a test kills, as a power cut does."""

from __future__ import annotations

import subprocess
from collections.abc import Callable

from tests.lab.site import ROOT, Recap, Site, eventually, flat, recap

# Seconds; more than a play on dozens of servers takes, on a slow machine that is busy with other tests.
A_PLAYS_PATIENCE = 2400


class Controller:
    """A playbook at work in a PID namespace of its own, so that a kill ends all of it at once.

    Its connections are its own, too, as those of a second machine are: whose master process ends, they end.
    """

    def __init__(self, site: Site, name: str, playbook: str, *options: str) -> None:
        alone = ("unshare", "--pid", "--mount-proc", "--fork", "--kill-child")
        self._log = ROOT / "build" / "logs" / f"{site.name}-{name}.log"
        self._log.parent.mkdir(parents=True, exist_ok=True)
        connections = ("-e", f"ansible_control_path_dir={site.state / name}")
        with self._log.open("w") as log:
            self._process = subprocess.Popen(
                site.inside(*alone, *site.play_argv(playbook, *connections, *options)),
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    @property
    def ended(self) -> bool:
        """Whether it has come to its end."""
        return self._process.poll() is not None

    def says(self) -> str:
        """Return its output so far, without the callback's line breaks."""
        return flat(self._log.read_text())

    def wait_until(self, condition: Callable[[], bool]) -> None:
        """Wait until something has come about, which it has to before the play ends."""
        eventually(lambda: condition() or self.ended, seconds=A_PLAYS_PATIENCE)
        assert condition(), self._log.read_text()

    def wait_for(self, text: str) -> None:
        """Wait until it has said this."""
        self.wait_until(lambda: text in self.says())

    def wait(self) -> int:
        """Wait for its end and return its exit code."""
        return self._process.wait(timeout=A_PLAYS_PATIENCE)

    def kill(self) -> None:
        """Take its power away."""
        self._process.kill()
        self._process.wait()

    def recap(self) -> dict[str, Recap]:
        """Return its recap by server."""
        return recap(subprocess.CompletedProcess([], self.wait(), self._log.read_text(), ""))
