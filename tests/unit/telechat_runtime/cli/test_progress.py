# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import io
from typing import List

import pytest
from rich.console import Console

from telechat_runtime.cli.progress import LiveProgress, PlainProgress, event_text
from telechat_runtime.job.events import LogLine, NodeState, Notice, Training
from telechat_runtime.job.state import JobState
from telechat_runtime.job.training_log import Speed, Step

STEP = Step(1, 2, 5, 10, 2.34567, 91, 1e-5)
SPEED = Speed(0.81, "0:12:34")


def test_plain_lines() -> None:
    lines: List[str] = []
    progress = PlainProgress(lines.append)
    for event in (
        NodeState("node0", JobState.RUNNING),
        LogLine(node="node0", rank=0, log="worker_0.log", text="hello"),
        Training(STEP),
        Training(SPEED),
        Training(STEP),
        Notice("node1 is FAILED: stopping node0"),
    ):
        progress(event)
    assert lines == [
        "node0: RUNNING",
        "[node0 rank0] hello",
        "progress: step 5/20 (epoch 1/2)  loss 2.346  91 ms/step  lr 1e-05",
        "progress: step 5/20 (epoch 1/2)  loss 2.346  91 ms/step  lr 1e-05  0.81 samples/s per NPU  left 0:12:34",
        "node1 is FAILED: stopping node0",
    ]


def test_a_log_that_belongs_to_no_rank_is_named() -> None:
    assert event_text(LogLine(node="node0", rank=None, log="msrun.log", text="x")) == "[node0 msrun.log] x"
    assert event_text(NodeState("node0", JobState.FAILED, "boom")) == "node0: FAILED: boom"


@pytest.fixture
def terminal() -> Console:
    return Console(file=io.StringIO(), force_terminal=True, width=120, color_system=None)


def test_a_terminal_keeps_the_progress_under_the_log(terminal: Console) -> None:
    live = LiveProgress(terminal)
    live.start()
    live(LogLine(node="node0", rank=0, log="worker_0.log", text="[bold]not markup[/bold]"))
    live(Training(STEP))
    live(Training(SPEED))
    live.stop()
    assert isinstance(terminal.file, io.StringIO)
    shown = terminal.file.getvalue()
    assert "[node0 rank0] [bold]not markup[/bold]" in shown
    last = shown.split("\n")[-2]
    assert "5/20" in last
    assert "loss 2.346  91 ms/step  lr 1e-05  0.81 samples/s per NPU  left 0:12:34" in last
