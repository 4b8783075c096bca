# SPDX-License-Identifier: Apache-2.0
"""Every option of JobOptions, declared once there, reaches the request; and of a resume only those that are given."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace
from typing import Any, List

import pytest
from click.testing import CliRunner

from telechat_runtime.cli import finetune as finetune_command
from telechat_runtime.cli import finetune_resume
from telechat_runtime.cli import predict as predict_command
from telechat_runtime.cli.job_options import Request
from telechat_runtime.cli.main import cli
from telechat_runtime.job.options import JobOptions

COMMON = (
    "--env A=1 --npus-per-node 4 --nodes 3 --exclude n1 --exclude n2 --out-of-service --job-name mine "
    "--cluster-timeout 11 --grace 12 --heartbeat-timeout 13"
)
TRAINING = "--max-restarts 2 --restart-pause 14 --hang-factor 1.5 --hang-floor 15"
GIVEN = JobOptions(
    job_name="mine",
    env=(("A", "1"),),
    npus_per_node=4,
    cluster_timeout=11,
    grace_seconds=12,
    heartbeat_timeout=13,
    nodes=3,
    exclude=("n1", "n2"),
    out_of_service=True,
)
OF_A_TRAINING = dataclasses.replace(GIVEN, hang_factor=1.5, hang_floor=15, max_restarts=2, restart_pause=14)


def options_of(monkeypatch: pytest.MonkeyPatch, command: Any, *words: str) -> Request:
    requests: List[Request] = []
    monkeypatch.setattr(command, "run_job", lambda request, *_stages, **_more: requests.append(request))
    result = CliRunner().invoke(cli, list(words), catch_exceptions=False)
    assert result.output == ""
    return requests[0]


def test_every_option_of_a_training(monkeypatch: pytest.MonkeyPatch) -> None:
    words = ["finetune", "--model", "7b", "--detach", *COMMON.split(), *TRAINING.split()]
    request = options_of(monkeypatch, finetune_command, *words)
    assert request.options == OF_A_TRAINING
    assert request.detach
    changed = dataclasses.asdict(request.options).items() ^ dataclasses.asdict(JobOptions("finetune")).items()
    assert {name for name, _ in changed} == {field.name for field in dataclasses.fields(JobOptions)}


def test_every_option_of_another_job_and_none_of_trainings(monkeypatch: pytest.MonkeyPatch) -> None:
    words = ["predict", "--model", "7b", "--input", "a", *COMMON.split()]
    assert options_of(monkeypatch, predict_command, *words).options == GIVEN
    result = CliRunner().invoke(cli, [*words, "--max-restarts", "1"])
    assert "No such option" in result.output


def test_the_environment_sets_an_option_and_the_command_line_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TELECHAT_GRACE", "5")
    monkeypatch.setenv("TELECHAT_HANG_FLOOR", "6")
    request = options_of(monkeypatch, finetune_command, "finetune", "--model", "7b", "--grace", "7")
    assert request.options == JobOptions("finetune", grace_seconds=7, hang_floor=6)


def resumed(monkeypatch: pytest.MonkeyPatch, *words: str) -> tuple[JobOptions, bool]:
    """Return the options of a job that resumes one with options of its own, and whether it chooses its nodes."""
    recorded = JobOptions("week", env=(("A", "0"), ("B", "2")), hang_floor=900, max_restarts=9)
    seen: List[Any] = []
    at = SimpleNamespace(clients={}, interrupt=None, clusters=SimpleNamespace(limited=None))
    monkeypatch.setattr(finetune_resume, "fleet_status", lambda *_: None)
    monkeypatch.setattr(finetune_resume, "chosen_job", lambda *_: SimpleNamespace(job_id="week-1"))
    monkeypatch.setattr(finetune_resume, "plan_resume", lambda _job, wishes, *_: seen.append(wishes))
    monkeypatch.setattr(finetune_resume, "run_job", lambda _request, plan, **_more: plan(at))
    result = CliRunner().invoke(cli, ["finetune", "--resume", "week-1", *words], catch_exceptions=False)
    assert result.output == ""
    return seen[0].options(recorded), seen[0].chooses_nodes


def test_a_resume_keeps_the_recorded_options_but_those_that_are_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TELECHAT_GRACE", "5")
    assert resumed(monkeypatch) == (
        JobOptions("week", env=(("A", "0"), ("B", "2")), hang_floor=900, max_restarts=9),
        False,
    )
    expected = dataclasses.replace(OF_A_TRAINING, env=(("A", "1"), ("B", "2")))
    assert resumed(monkeypatch, *COMMON.split(), *TRAINING.split()) == (expected, True)
