# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path
from typing import Any, List, Optional

import pytest

from telechat_runtime.upgrade.jobs import resume_jobs, stop_jobs
from telechat_runtime.upgrade.record import Record
from tests.support.upgrade_events import CONTROLLER, back, out, plan
from tests.support.upgrade_telechat_run import StandIn

COMMON = ["-i", "hosts.yml", "--group", "ascend"]
STOP = ["-m", "telechat_runtime", "stop", "week-1", "--at-checkpoint", "--checkpoint-timeout", "60", "--json", *COMMON]
RESUME = ["-m", "telechat_runtime", "finetune", "--resume", "week-1", "--detach"]
FAILS = {"stop": (5, "\nlooking\nn0: saves nothing\n\n  next: wait\n"), "--resume": (3, "no node is fit\n")}


def note(record: Record, *events: Any) -> None:
    for event in events:
        record.add(**event)


def waiting(record: Record) -> List[str]:
    return list(record.history().waiting_jobs())


def told(record: Record) -> List[str]:
    return [job["what"] for job in record.history().jobs]


def stopped(record: Record, run: StandIn, resume: str) -> List[str]:
    return stop_jobs(["week-1"], record, run.commands, resume=resume, seconds=60)


def test_a_call_has_the_inventories_the_vaults_and_the_group(tmp_path: Path) -> None:
    vault = ("--vault-id", "ops@/secrets/ops", "--vault-password-file", "/secrets/all")
    run = StandIn(tmp_path, inventory=("a.yml", "b c/"), group="npu", vault=vault)
    assert run.commands.call("stop", "week 1").failure is None
    sources = ["-i", "a.yml", "-i", "b c/"]
    assert run.calls() == [["-m", "telechat_runtime", "stop", "week 1", *sources, *vault, "--group", "npu"]]


@pytest.mark.parametrize(
    ("failure", "said"),
    [
        ((5, "\nfirst\nn0: busy\n\n  which rule\n  next: wait\n"), "exit code 5: n0: busy   which rule   next: wait"),
        ((7, ""), "exit code 7: it said nothing"),
    ],
)
def test_a_call_that_fails_says_what_the_command_said_last(telechat_run: StandIn, failure: Any, said: str) -> None:
    telechat_run.fails({"stop": failure})
    assert telechat_run.commands.call("stop", "week-1").failure == said


@pytest.mark.parametrize(("resume", "waits"), [("afterwards", ["week-1"]), ("none", [])])
def test_a_job_is_stopped_after_a_checkpoint(
    telechat_run: StandIn, record: Record, resume: str, waits: List[str]
) -> None:
    assert stopped(record, telechat_run, resume) == ["job week-1: stopped after a checkpoint"]
    assert telechat_run.calls() == [STOP]
    assert waiting(record) == waits


def test_elsewhere_it_begins_again_at_once_on_as_many_nodes_as_it_had(telechat_run: StandIn, record: Record) -> None:
    assert stopped(record, telechat_run, "elsewhere") == [
        "job week-1: stopped after a checkpoint; begun again from its checkpoint"
    ]
    assert telechat_run.calls() == [STOP, [*RESUME, "--nodes", "2", *COMMON]]
    assert told(record) == ["stopped after a checkpoint", "begun again from its checkpoint"]
    assert waiting(record) == []


def test_a_job_without_another_place_is_told_and_waits(telechat_run: StandIn, record: Record) -> None:
    telechat_run.fails({"--resume": FAILS["--resume"]})
    assert stopped(record, telechat_run, "elsewhere") == [
        "job week-1: stopped after a checkpoint; could not be begun again: exit code 3: no node is fit"
    ]
    assert waiting(record) == ["week-1"]


@pytest.mark.parametrize("resume", ["afterwards", "elsewhere", "none"])
def test_a_job_that_does_not_stop_goes_on_and_is_not_begun_again(
    telechat_run: StandIn, record: Record, resume: str
) -> None:
    telechat_run.fails(FAILS)
    line = "not stopped: exit code 5: looking n0: saves nothing   next: wait"
    assert stopped(record, telechat_run, resume) == [f"job week-1: {line}"]
    assert telechat_run.calls() == [STOP]
    assert (waiting(record), told(record)) == ([], [line])


def test_each_job_of_the_wave_is_stopped_though_one_is_not(telechat_run: StandIn, record: Record) -> None:
    telechat_run.fails({"week-1": (5, "no\n")})
    assert stop_jobs(["week-1", "week-2"], record, telechat_run.commands, resume="afterwards", seconds=60) == [
        "job week-1: not stopped: exit code 5: no",
        "job week-2: stopped after a checkpoint",
    ]
    assert waiting(record) == ["week-2"]


@pytest.mark.parametrize("last", [False, True])
def test_a_job_begins_again_once_when_all_its_nodes_are_back(telechat_run: StandIn, record: Record, last: bool) -> None:
    note(record, CONTROLLER, plan("n0", "n1"), out("n0"), out("n1"))
    stopped(record, telechat_run, "afterwards")
    note(record, back("n0"))
    assert resume_jobs(record, telechat_run.commands, last=False) == []
    note(record, back("n1"))
    assert resume_jobs(record, telechat_run.commands, last=last) == ["job week-1: begun again from its checkpoint"]
    assert resume_jobs(record, telechat_run.commands, last=last) == []
    assert telechat_run.calls() == [STOP, [*RESUME, *COMMON]]


@pytest.mark.parametrize("before", [None, "n1"])
def test_the_last_time_a_job_whose_node_is_out_is_told_with_how_to_begin_it(
    telechat_run: StandIn, record: Record, before: Optional[str]
) -> None:
    note(record, CONTROLLER, plan("n0", "n1", out=[before] if before else []), out("n0"), out("n1"))
    stopped(record, telechat_run, "afterwards")
    note(record, back("n0"))
    line = "job week-1: not begun again: n1 is out of service; `telechat-run finetune --resume week-1`"
    assert resume_jobs(record, telechat_run.commands, last=True) == [line]
    assert telechat_run.calls() == [STOP]
    assert waiting(record) == ["week-1"]


def test_a_job_that_can_not_begin_again_is_told_and_tried_the_next_time(telechat_run: StandIn, record: Record) -> None:
    stopped(record, telechat_run, "afterwards")
    telechat_run.fails(FAILS)
    line = "job week-1: could not be begun again: exit code 3: no node is fit"
    assert resume_jobs(record, telechat_run.commands, last=False) == [line]
    assert waiting(record) == ["week-1"]
    telechat_run.fails({})
    assert resume_jobs(record, telechat_run.commands, last=True) == ["job week-1: begun again from its checkpoint"]
    assert waiting(record) == []
