# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any, Dict, List, Optional

import pytest

from telechat_runtime.upgrade.observe import host_look, running_versions, told
from telechat_runtime.upgrade.plan import HostLook
from tests.support.upgrade_events import CAMPAIGN, NEW, OLD

HDK = {
    "driver": {"installed": "23.0.3", "running": ["23.0.3"]},
    "firmware": {"installed": "7.1.0.5.220", "running": ["7.1.0.5.220"]},
    "estimate_seconds": 900,
}
PENDING = {"ascend_hdk": "upgrade driver 24.1.rc3"}


def problem(check: str) -> Dict[str, str]:
    return {"check": check, "value": "it is so", "rule": "it may not", "next_step": "mend it"}


def node(
    state: str = "", *, run: str = CAMPAIGN, kind: Optional[str] = None, job: Optional[str] = None
) -> Dict[str, Any]:
    """Return what a node says that is in this state of an upgrade, and out of service for this kind of reason."""
    record = {"run": run, "state": state, "operator": "lin@ops1", "since": "2026-01-01T00:00:00Z", "from": OLD}
    service = {"kind": kind, "reason": "a reason", "by": "lin@ops1", "since": "2026-01-01T00:00:00Z"}
    return {"upgrade": record if state else None, "service": service if kind else None, "job": job}


def seen(
    answer: Dict[str, Any],
    *problems: Dict[str, str],
    pending: Dict[str, str] = PENDING,
    campaign: Optional[str] = CAMPAIGN,
    take_over: bool = False,
    **hdk: Any,
) -> HostLook:
    facts = {"ascend_hdk": {**HDK, **hdk}, "node": answer}
    look = {"pending": pending, "facts": facts, "problems": list(problems)}
    return host_look("n0", look, problems, campaign, take_over=take_over)


def test_an_idle_host_in_service_with_work() -> None:
    assert seen(node()) == HostLook(
        name="n0", work=("ascend_hdk: upgrade driver 24.1.rc3",), seconds=900, before=OLD, out=None
    )


def test_a_host_without_npu_facts() -> None:
    found = host_look("n0", {"pending": {}, "facts": {"node": node()}}, [], CAMPAIGN)
    assert (found.work, found.seconds, found.before) == ((), 0, {"driver": None, "firmware": None})


@pytest.mark.parametrize(
    ("look", "problems", "said"),
    [
        ({"unreachable": True, "msg": "timed out"}, [problem("unreachable")], told(problem("unreachable"))),
        ({"unreachable": True, "msg": "timed out"}, [], "timed out"),
        ({"module_stderr": "no python"}, [], "no python"),
        ({}, [], "it gave no answer"),
    ],
)
def test_a_host_that_gives_no_answer_is_left_alone(
    look: Dict[str, Any], problems: List[Dict[str, str]], said: str
) -> None:
    assert host_look("n0", look, problems, CAMPAIGN) == HostLook(name="n0", problems=(said,), reachable=False)


def test_a_problem_is_told_with_its_next_step() -> None:
    assert seen(node(), problem("disk")).problems == ("disk: it is so (rule: it may not) -> mend it",)


@pytest.mark.parametrize("check", ["device_in_use", "job lease"])
def test_what_ends_with_a_job_is_no_problem_while_one_runs(check: str) -> None:
    busy = seen(node(job="week-1"), problem(check), problem("disk"))
    assert busy.job == "week-1"
    assert busy.problems == (told(problem("disk")),)
    assert seen(node(), problem(check)).problems == (told(problem(check)),)


@pytest.mark.parametrize("state", ["draining", "upgrading", "rebooting", "validating"])
def test_what_this_campaign_began_goes_on(state: str) -> None:
    found = seen(node(state, kind="upgrade"))
    assert (found.interrupted, found.problems, found.stays_out) == (True, (), False)
    assert found.out == "a reason (lin@ops1, since 2026-01-01T00:00:00Z)"


@pytest.mark.parametrize("campaign", [CAMPAIGN, None])
def test_what_another_campaign_has_begun_is_its_own_until_it_is_taken_over(campaign: Optional[str]) -> None:
    theirs = node("rebooting", run="24.1.rc2-20251231T000000Z-aaaa", kind="upgrade")
    left = seen(theirs, campaign=campaign)
    assert not left.interrupted
    assert "; ".join(left.problems) == (
        "claimed: 24.1.rc2-20251231T000000Z-aaaa of lin@ops1 has had it rebooting since 2026-01-01T00:00:00Z"
        " -> wait for it; when it is known to be dead, -e fleet_upgrade_take_over=true"
    )
    taken = seen(theirs, campaign=campaign, take_over=True)
    assert (taken.interrupted, taken.problems) == (True, ())


@pytest.mark.parametrize("state", ["upgrade-required", "done", "failed", "rolled-back"])
def test_what_another_campaign_has_ended_is_free(state: str) -> None:
    found = seen(node(state, run="another"))
    assert (found.interrupted, found.problems) == (False, ())


@pytest.mark.parametrize("state", ["failed", "rolled-back"])
def test_where_this_campaign_failed_it_does_not_try_again_even_when_nobody_noted_it(state: str) -> None:
    answer = node(state, kind="upgrade")
    answer["upgrade"]["reason"] = "no chip answers"
    for take_over in (False, True):
        found = seen(answer, take_over=take_over)
        assert not found.interrupted
        assert found.problems == (f"{state}: no chip answers -> a new upgrade tries it again",)
    assert seen(answer, campaign="a new one").problems == ()


def test_a_node_that_is_out_for_an_upgrade_is_put_back_even_when_nothing_is_to_be_installed() -> None:
    assert seen(node("done", kind="upgrade"), pending={}).work == (
        "nothing to install; look whether it is as wanted, and put it back in service",
    )
    assert seen(node(kind="maintenance"), pending={}).work == ()
    assert seen(node(), pending={}).work == ()


def test_a_node_in_maintenance_stays_out() -> None:
    found = seen(node("upgrading", kind="maintenance"))
    assert (found.interrupted, found.stays_out) == (True, True)
    assert found.out


def test_what_ran_before_is_what_this_campaign_noted_when_it_began() -> None:
    running: Dict[str, Any] = {name: {"installed": version, "running": [version]} for name, version in NEW.items()}
    assert seen(node("validating"), **running).before == OLD
    assert seen(node("done", run="another"), **running).before == NEW
    assert seen(node(), **running).before == NEW


def test_running_versions_are_those_that_run_else_those_installed() -> None:
    assert running_versions(
        {"driver": {"installed": "24.1.rc3", "running": ["23.0.3", "24.1.rc3"]}, "firmware": {"installed": "7.5"}}
    ) == {"driver": "23.0.3 and 24.1.rc3", "firmware": "7.5"}
    assert running_versions({}) == {"driver": None, "firmware": None}


def test_a_host_with_the_record_of_a_newer_release_is_refused() -> None:
    answer = node("draining")
    answer["upgrade"] = {"schema": 99, "state": {"what": "is this"}}
    found = seen(answer)
    (problem,) = found.problems
    assert problem.startswith("newer: /etc/telechat/upgrade.json has schema 99, and schemas up to 1 are known here")
    assert problem.endswith(" -> use that release on the control machine too")
    assert (found.interrupted, found.before) == (False, OLD)
