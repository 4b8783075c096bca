# SPDX-License-Identifier: Apache-2.0
"""Shows a job while it runs: a live line on a terminal, plain lines anywhere else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Callable, Optional, Union

from telechat_runtime.job.events import Event, LogLine, NodeState, Notice, Training
from telechat_runtime.job.training_log import Speed, Step

if TYPE_CHECKING:
    from rich.console import Console


class PlainProgress:
    """Writes every event as one line; for pipes, files and CI."""

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write
        self._speed: Optional[Speed] = None

    def __call__(self, event: Event) -> None:
        """Take an event of the job."""
        if isinstance(event, Training):
            if isinstance(event.what, Speed):
                self._speed = event.what
            else:
                self._write(f"progress: {step_text(event.what, self._speed)}")
        else:
            self._write(event_text(event))


class LiveProgress:
    """Keeps one line with step, loss, speed and time left under the log on a terminal."""

    def __init__(self, console: Optional[Console] = None) -> None:
        # Imported here: rich costs more than all the rest, and a pipe does not need it.
        from rich.console import Console  # noqa: PLC0415
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn  # noqa: PLC0415

        self._console = console or Console()
        self._progress = Progress(
            TextColumn("[bold]step"),
            MofNCompleteColumn(),
            BarColumn(),
            TextColumn("{task.fields[text]}"),
            console=self._console,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._task = self._progress.add_task("steps", total=None, text="starting", visible=False)
        self._speed: Optional[Speed] = None
        self._step: Optional[Step] = None

    def start(self) -> None:
        """Take the terminal's last line."""
        self._progress.start()

    def stop(self) -> None:
        """Leave the terminal as it was."""
        self._progress.stop()

    def __call__(self, event: Event) -> None:
        """Take an event of the job."""
        if not isinstance(event, Training):
            self._console.print(event_text(event), markup=False, highlight=False, soft_wrap=True)
            return
        if isinstance(event.what, Speed):
            self._speed = event.what
        else:
            self._step = event.what
        if self._step:
            self._progress.update(
                self._task,
                completed=self._step.number,
                total=self._step.total,
                text=measures_text(self._step, self._speed),
                visible=True,
            )


def step_text(step: Step, speed: Optional[Speed]) -> str:
    """Write a step as one line: which, loss, speed, time left."""
    epoch = f"epoch {step.epoch}/{step.epochs}"
    return f"step {step.number}/{step.total} ({epoch})  {measures_text(step, speed)}"


def measures_text(step: Step, speed: Optional[Speed]) -> str:
    """Write what was measured in a step."""
    words = [f"loss {step.loss:.4g}", f"{step.per_step_ms} ms/step"]
    if step.learning_rate is not None:
        words.append(f"lr {step.learning_rate:.3g}")
    if speed:
        words += [f"{speed.samples_per_second:g} samples/s per NPU", f"left {speed.eta}"]
    return "  ".join(words)


def event_text(event: Union[LogLine, NodeState, Notice]) -> str:
    """Write an event as one line; log lines get the prefix [node rank]."""
    if isinstance(event, LogLine):
        who = f"rank{event.rank}" if event.rank is not None else event.log
        return f"[{event.node} {who}] {event.text}"
    if isinstance(event, NodeState):
        reason = f": {event.reason}" if event.reason else ""
        return f"{event.node}: {event.state}{reason}"
    return event.text
