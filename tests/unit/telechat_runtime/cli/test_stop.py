# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import contextlib
import json
from types import SimpleNamespace
from typing import Any, Dict, List, Optional

import pytest
from click.testing import CliRunner

from telechat_runtime.cli import stop as command
from telechat_runtime.cli.main import cli
from telechat_runtime.errors import UsageError
from telechat_runtime.finetune.checkpoint_stop import CheckpointStop, Stopping
from telechat_runtime.finetune.latest_checkpoint import Resume
from telechat_runtime.remote.answers.jobs import StopAnswer
from telechat_runtime.run.status import FleetStatus, StopResult
from telechat_runtime.typed_json import parse
from tests.support.node_answers import stop_answer

STEP_4 = Resume(job_id="week-1", number=4, epoch=2, name="", links={})


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> List[Any]:
    """Return the ways in which the use cases are asked to stop a job; none of them runs."""
    ways: List[Any] = []
    monkeypatch.setattr(command, "load_cluster", lambda *_: None)
    monkeypatch.setattr(command, "open_fleet", lambda _: contextlib.nullcontext({}))
    monkeypatch.setattr(command, "fleet_status", lambda *_: FleetStatus(answers={}, errors={}))
    monkeypatch.setattr(command, "choose_job", lambda *_: SimpleNamespace(job_id="week-1", nodes={}))

    def at_checkpoint(_job: Any, _clients: Any, stopping: Stopping, _interrupt: Any) -> CheckpointStop:
        ways.append((stopping.checkpoint_seconds, stopping.grace_seconds))
        return CheckpointStop(result(), STEP_4 if stopping.checkpoint_seconds else None, had_ended=False)

    def at_once(_job_id: str, _names: Any, _clients: Any, *, grace_seconds: float, **_more: Any) -> StopResult:
        ways.append(grace_seconds)
        return result()

    monkeypatch.setattr(command, "stop_at_checkpoint", at_checkpoint)
    monkeypatch.setattr(command, "stop_job", at_once)
    return ways


def result() -> StopResult:
    answer = parse(StopAnswer, stop_answer(ended=[7, 8]))
    return StopResult(job_id="week-1", answers={"node0": answer}, errors={})


def run(*words: str) -> Any:
    return CliRunner().invoke(cli, ["stop", "week-1", *words])


@pytest.mark.parametrize(
    ("words", "way", "checkpoint"),
    [
        ([], 10, None),
        (["--force"], 0, None),
        (["--at-checkpoint"], (1800, 10), {"step": 4, "epoch": 2}),
        (["--at-checkpoint", "--checkpoint-timeout", "60", "--grace", "5"], (60, 5), {"step": 4, "epoch": 2}),
    ],
)
def test_how_it_stops_and_what_it_tells(
    words: List[str], way: Any, checkpoint: Optional[Dict[str, int]], asked: List[Any]
) -> None:
    shown = run(*words)
    document = json.loads(run(*words, "--json").output)
    assert asked == [way, way]
    assert document.get("checkpoint") == checkpoint
    assert ("checkpoint" in document) == bool(checkpoint)
    lines = ["node0: STOPPED, 2 processes ended"]
    assert shown.output.splitlines() == lines + ["stopped after the checkpoint of step 4 (epoch 2)"] * bool(checkpoint)


def test_a_checkpoint_that_the_stop_destroyed_is_an_error(asked: List[Any]) -> None:
    words = ("--at-checkpoint", "--checkpoint-timeout", "0")
    shown, document = run(*words), run(*words, "--json")
    assert asked == [(0, 10)] * 2
    assert (shown.exit_code, document.exit_code) == (1, 1)
    assert "the stop interrupted a save: no checkpoint is complete now" in shown.output
    assert json.JSONDecoder().raw_decode(document.output)[0]["checkpoint"] is None


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--at-checkpoint", "--force"], "--force and --at-checkpoint"),
        (["--checkpoint-timeout", "60"], "--checkpoint-timeout is for --at-checkpoint"),
    ],
)
def test_options_that_make_no_sense_together(words: List[str], message: str, asked: List[Any]) -> None:
    refused = run(*words)
    assert isinstance(refused.exception, UsageError)
    assert message in str(refused.exception)
    assert asked == []
