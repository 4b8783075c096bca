# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from contextlib import nullcontext
from typing import Any, Dict, List

import pytest

from telechat_runtime.cli import run_job
from telechat_runtime.cli.main import cli
from telechat_runtime.cluster.inventory import Clusters
from telechat_runtime.errors import PreflightError, UsageError
from telechat_runtime.job.events import NodeOutcome
from telechat_runtime.job.report import Report
from telechat_runtime.job.state import JobState
from telechat_runtime.plan.plan import JobPlan
from tests.unit.telechat_runtime.checkpoints.test_convert import WEIGHTS, Site

STRATEGIES = [{"s_rank_0.ckpt": "AA=="}, {"s_rank_8.ckpt": "BB=="}]
LAYOUT = ["--model", "7b", "--dataset", "/mnt/data", "--dp", "8", "--mp", "2", "--pp", "1"]


class Launches:
    """Stands for the launch of jobs: notes their plans, and ends each as told."""

    def __init__(self, *ends: JobState) -> None:
        self.ends = list(ends)
        self.plans: List[JobPlan] = []

    def __call__(self, plan: JobPlan, _clients: Any, **_modes: Any) -> Report:
        self.plans.append(plan)
        state = self.ends.pop(0)
        outcomes = tuple(NodeOutcome(node=node.node.name, node_rank=node.node_rank, state=state) for node in plan.nodes)
        return Report(
            job_id=plan.job_id,
            folder=plan.nodes[0].paths.folder,
            seconds=1,
            interrupted=False,
            nodes=outcomes,
            first_failure=None if state is JobState.SUCCEEDED else outcomes[0].node,
            first_step=None,
            last_step=None,
            speed=None,
        )


def convert(monkeypatch: pytest.MonkeyPatch, site: Site, launches: Launches, *words: str) -> int:
    monkeypatch.setattr(run_job, "load_clusters", lambda *_: Clusters(site.cluster, site.cluster))
    monkeypatch.setattr(run_job, "open_fleet", lambda _: nullcontext(site.clients))
    monkeypatch.setattr(run_job, "launch", launches)
    words = ("convert", "--checkpoint", WEIGHTS, "--output", "/out", *words)
    return int(cli.main(list(words), prog_name="telechat-run", standalone_mode=False) or 0)


def test_a_layout_takes_a_strategy_run_and_then_its_files(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    launches = Launches(JobState.SUCCEEDED, JobState.SUCCEEDED)
    assert convert(monkeypatch, Site(strategies=STRATEGIES), launches, *LAYOUT, "--json") == 0
    first, second = launches.plans
    assert (first.kind, second.kind) == ("strategy", "transform")
    request: Dict[str, Any] = json.loads(dict(second.nodes[0].files)["request.json"])
    assert request["to_strategy"] == {**STRATEGIES[0], **STRATEGIES[1]}
    said = capsys.readouterr()
    assert f"to go on from here: --to-job {first.job_id}" in said.err
    report = json.loads(said.out)
    assert (report["job_id"], report["result"], report["ranks"]) == (second.job_id, "/out/TeleChat2-7B_ms", 16)


def test_a_strategy_run_that_fails_is_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    launches = Launches(JobState.FAILED)
    assert convert(monkeypatch, Site(strategies=STRATEGIES), launches, *LAYOUT) == 1
    assert [plan.kind for plan in launches.plans] == ["strategy"]


def test_a_strategy_run_without_files_is_told_with_its_job(monkeypatch: pytest.MonkeyPatch) -> None:
    launches = Launches(JobState.SUCCEEDED)
    with pytest.raises(PreflightError) as caught:
        convert(monkeypatch, Site(), launches, *LAYOUT)
    assert f"job {launches.plans[0].job_id} left no strategy files" in caught.value.message


def test_a_dry_run_of_a_layout_shows_the_strategy_run_and_starts_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    launches = Launches()
    assert convert(monkeypatch, Site(), launches, *LAYOUT, "--dry-run") == 0
    assert "+only_save_strategy: True" in capsys.readouterr().out
    assert launches.plans == []


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--to-job", "j", "--dp", "2", "--micro-batch-num", "4"), "--dp, --micro-batch-num describe a run"),
        (("--to-job", "j", "--dataset", "/d"), "--dataset describe a run"),
        (("--to-job", "j", "--model", "7b"), "give one of --to-strategy, --to-job"),
        (("--model", "7b", "--config", "x.yaml"), "give either --config FILE or --model NAME"),
        ((), "no strategy is given"),
    ],
)
def test_options_that_contradict_each_other(
    monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        convert(monkeypatch, Site(), Launches(), *words)
