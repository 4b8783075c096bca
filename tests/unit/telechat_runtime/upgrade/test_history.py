# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from typing import Any, Dict, List, Optional

import pytest

from telechat_runtime.upgrade.history import History, history_of, parse_events, stands_for, verdict_lines
from tests.support.upgrade_events import (
    CAMPAIGN,
    CONTROLLER,
    NEW,
    OLD,
    RELEASE,
    back,
    done,
    history_told,
    out,
    outcome,
    plan,
    state,
    time_of,
    wave,
)


def outcomes(history: History) -> Dict[str, str]:
    return {host.name: host.outcome for host in history.hosts.values()}


def job(job_id: str, what: str, nodes: Optional[List[str]] = None, *, waits: Optional[bool] = None) -> Dict[str, Any]:
    return {"event": "job", "job_id": job_id, "what": what, "nodes": nodes, "waits": waits}


def test_lines_that_are_no_events_never_happened() -> None:
    events = [{"at": "1", "event": "out", "host": "n0"}, {"at": "2", "event": "back", "host": "n0"}]
    whole = [json.dumps(event) for event in events]
    garbage = ["", "{", "null", "[1]", '"out"', '{"event": "out"}', '{"at": "3"}', "\0\0\0"]
    assert parse_events("\n".join([whole[0], *garbage, whole[1]]) + "\n") == events
    for length in range(1, len(whole[1])):
        assert parse_events(f"{whole[0]}\n{whole[1][:length]}") == events[:1]


def test_an_event_of_a_later_version_is_passed_over() -> None:
    assert history_told(CONTROLLER, {"event": "weather", "host": "n0"}).hosts == {}


def test_a_host_from_its_plan_to_its_end() -> None:
    host = history_told(
        CONTROLLER,
        plan("n0"),
        wave(1, "n0", kind="canary"),
        out("n0"),
        state("n0", "draining"),
        state("n0", "upgrading"),
        state("n0", "upgrading"),
        outcome("n0", "done", after=NEW, logs="/logs/n0"),
        back("n0"),
    ).hosts["n0"]
    assert (host.outcome, host.wave, host.before, host.after, host.logs) == ("done", 1, OLD, NEW, "/logs/n0")
    assert (host.out, host.ended, host.back) == (time_of(3), time_of(7), time_of(8))
    assert [(entry["state"], entry["at"]) for entry in host.states] == [
        ("draining", time_of(4)),
        ("upgrading", time_of(5)),
    ]


def test_a_host_counts_as_out_from_before_it_leaves_until_after_it_is_back() -> None:
    events = [CONTROLLER, plan("n0"), wave(1, "n0"), out("n0"), outcome("n0", "done"), back("n0")]
    counts = [len(history_told(*events[:length]).unavailable()) for length in range(1, len(events) + 1)]
    assert counts == [0, 0, 0, 1, 1, 0]


def test_the_most_hosts_out_at_once_and_when() -> None:
    before = (CONTROLLER, plan("n0", "n1", "n2", out=["m"], refused={"m": "ill"}))
    history = history_told(*before, out("n0"), out("n1"), back("n0"), out("n2"), back("n1"), back("n2"))
    assert history.most_unavailable == {"count": 3, "at": time_of(3)}
    assert history.unavailable() == {"m"}


def test_a_host_that_was_out_before_is_out_until_it_is_put_back() -> None:
    begun = [CONTROLLER, plan("m", out=["m"]), out("m")]
    assert history_told(*begun).unavailable() == {"m"}
    assert history_told(*begun).taken_out() == set()
    assert history_told(*begun, outcome("m", "done")).unavailable() == {"m"}, "it is in maintenance"
    assert history_told(*begun, outcome("m", "done"), back("m")).unavailable() == set()


def test_a_host_that_was_put_back_and_then_went_out_by_itself_comes_back_too() -> None:
    skipped = [out("n0"), outcome("n0", "skipped", "job j still ran"), back("n0")]
    again = [CONTROLLER, plan("n0", out=["n0"])]
    history = history_told(CONTROLLER, plan("n0"), *skipped, *again)
    assert history.unavailable() == {"n0"}
    assert history_told(CONTROLLER, plan("n0"), *skipped, *again, *done("n0")).unavailable() == set()


def test_a_failed_host_stays_out_until_a_look_finds_it_in_service() -> None:
    failed = [CONTROLLER, plan("n0", "n1"), out("n0"), outcome("n0", "failed", "no chip answers")]
    assert history_told(*failed).taken_out() == {"n0"}
    looked = history_told(*failed, CONTROLLER, plan("n1", refused={"n0": "failed before"}))
    assert looked.unavailable() == set()
    assert (looked.hosts["n0"].back, looked.hosts["n0"].outcome) == (time_of(5), "failed")
    assert looked.hosts["n0"].reason == "no chip answers"


def test_each_look_says_anew_who_is_out_and_what_becomes_of_those_not_begun_with() -> None:
    first = [CONTROLLER, plan("n0", out=["s"], refused={"s": "no answer", "n1": "disk"}, ready=["w"])]
    assert outcomes(history_told(*first)) == {"n0": "planned", "w": "nothing to do", "s": "refused", "n1": "refused"}
    second = history_told(*first, CONTROLLER, plan("s", "n1", out=["n1"], refused={"n0": "disk full"}, ready=["w"]))
    assert outcomes(second) == {"n0": "refused", "w": "nothing to do", "s": "planned", "n1": "planned"}
    assert second.hosts["n0"].reason == "disk full"
    assert second.unavailable() == {"n1"}
    assert second.hosts["w"].after == OLD


def test_what_ran_before_the_campaign_is_kept() -> None:
    again = plan("n0")
    again["hosts"]["n0"]["before"] = NEW
    assert history_told(CONTROLLER, plan("n0"), CONTROLLER, again).hosts["n0"].before == OLD


def test_a_host_that_goes_on_is_in_progress_and_out() -> None:
    history = history_told(CONTROLLER, plan("n0"), out("n0"), CONTROLLER, plan(goes_on=["n0"], out=["n0"]))
    assert (history.in_progress, history.taken_out(), history.initially_out) == (["n0"], {"n0"}, set())
    assert (history.hosts["n0"].out, history.hosts["n0"].back) == (time_of(2), None)


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (plan("n0"), "planned"),
        (plan(refused={"n0": "too many are out"}), "refused"),
        # It was ended with, and the control side was killed before it wrote that down.
        (plan(ready=["n0"]), "done"),
    ],
)
def test_a_host_that_does_not_go_on_is_in_progress_no_more(found: Dict[str, Any], expected: str) -> None:
    history = history_told(CONTROLLER, plan("n0"), out("n0"), CONTROLLER, found)
    assert outcomes(history) == {"n0": expected}
    assert (history.in_progress, history.unavailable(), history.hosts["n0"].back) == ([], set(), time_of(4))


def test_a_host_whose_end_nobody_wrote_down_is_told_without_a_wrong_version() -> None:
    host = history_told(CONTROLLER, plan("n0"), out("n0"), CONTROLLER, plan(ready=["n0"])).hosts["n0"]
    assert (host.before, host.after, host.ended) == (OLD, None, time_of(4))


def test_what_has_ended_is_not_planned_again() -> None:
    events = [CONTROLLER, plan("n0", "n1"), *done("n0"), out("n1"), outcome("n1", "lost", "silent"), CONTROLLER]
    history = history_told(*events, plan(ready=["n0"], refused={"n1": "failed before"}, out=["n1"]))
    assert outcomes(history) == {"n0": "done", "n1": "lost"}
    assert [host.name for host in history.failures] == ["n1"]


def test_controllers_waves_and_the_end() -> None:
    history = history_told(
        CONTROLLER,
        plan("n0", "n1"),
        wave(1, "n0", kind="canary"),
        {**CONTROLLER, "operator": "wu@ops2"},
        wave(2, "n1"),
        {"event": "end", "because": "enough"},
    )
    assert (history.campaign, history.release, history.started) == (CAMPAIGN, RELEASE, time_of(0))
    assert [entry["operator"] for entry in history.controllers] == ["lin@ops1", "wu@ops2"]
    assert [(entry["started"], entry["ended"]) for entry in history.waves] == [
        (time_of(2), time_of(4)),
        (time_of(4), time_of(5)),
    ]
    assert (history.ended, history.stopped_because) == (time_of(5), "enough")


CANARY_OUT = (CONTROLLER, plan("n0", "n1", "n2", "n3", max_failures=1), wave(1, "n0", "n1", kind="canary"))
PASSED = (*CANARY_OUT, *done("n0"), *done("n1"), wave(2, "n2", "n3"))


@pytest.mark.parametrize("how", ["failed", "lost", "rolled back"])
def test_a_canary_that_does_not_get_through_stops_it(how: str) -> None:
    history = history_told(*CANARY_OUT, *done("n0"), out("n1"), outcome("n1", how, "no chip answers"))
    assert history.stop_reason("batch") == f"n1 of the first wave: {how}"


def test_a_canary_that_was_interrupted_and_then_fails_stops_it() -> None:
    goes_on = [CONTROLLER, plan("n2", "n3", goes_on=["n0", "n1"], out=["n0", "n1"])]
    goes_on.append(wave(2, "n0", "n1", kind="interrupted"))
    ended = [*done("n0"), outcome("n1", "failed", "no chip answers")]
    history = history_told(*CANARY_OUT, out("n0"), out("n1"), *goes_on, *ended)
    assert history.stop_reason("batch") == "n1 of the first wave: failed"
    taken_over = history_told(*goes_on, out("n0"), out("n1"), *ended)
    assert taken_over.stop_reason("batch") == "n1 of the first wave: failed"


def test_what_was_interrupted_goes_on_whatever_failed() -> None:
    history = history_told(*CANARY_OUT, *done("n0"), out("n1"), outcome("n1", "failed", "no chip answers"), out("n2"))
    assert history.stop_reason("batch")
    assert history.stop_reason("interrupted") is None


def test_without_a_host_that_did_well_no_batch_begins() -> None:
    history = history_told(*CANARY_OUT, *[outcome(name, "skipped", "job j still ran") for name in ("n0", "n1")])
    assert history.stop_reason("batch") == (
        "no host of the first wave was upgraded, so nothing is known of this release here"
    )
    assert history.stop_reason("canary") is history.stop_reason("interrupted") is None


def test_more_failures_than_are_tolerated_stop_it() -> None:
    one = [*PASSED, *done("n3"), out("n2"), outcome("n2", "failed", "x")]
    assert history_told(*one).stop_reason("batch") is None
    two = history_told(*one, out("n3"), outcome("n3", "rolled back", "y"))
    assert two.stop_reason("batch") == "2 hosts failed (n2, n3), and 1 are tolerated"


def test_jobs_that_wait_are_those_that_were_stopped_and_not_begun_again() -> None:
    stopped = job("week-1", "stopped after a checkpoint", ["n0", "n1"], waits=True)
    other = job("week-2", "stopped after a checkpoint", ["n2"], waits=False)
    assert history_told(stopped, other).waiting_jobs() == {"week-1": ["n0", "n1"]}
    assert history_told(stopped, job("week-1", "begun again from its checkpoint")).waiting_jobs() == {}
    assert history_told(job("week-3", "not stopped: it saves none")).waiting_jobs() == {}


def test_the_verdict_of_a_campaign_that_went_well() -> None:
    history = history_told(CONTROLLER, plan("n0", "n1", ready=["w"]), *done("n0"), *done("n1"), {"event": "end"})
    assert verdict_lines(history) == (
        ["24.1.rc3 on 3 hosts: 2 done, 1 nothing to do", "most hosts out of service at once: 1, allowed 3"],
        True,
    )


def test_the_verdict_names_every_host_that_does_not_run_the_release() -> None:
    lines, good = verdict_lines(
        history_told(
            CONTROLLER,
            plan("n0", "n1", "n2", refused={"s": "no answer"}, out=["s"]),
            *done("n0"),
            out("n1"),
            outcome("n1", "failed", "no chip answers"),
            {"event": "end", "because": "1 hosts failed (n1), and 0 are tolerated"},
        )
    )
    assert lines == [
        "24.1.rc3 on 4 hosts: 1 done, 1 failed, 1 planned, 1 refused",
        "stopped: 1 hosts failed (n1), and 0 are tolerated",
        "n1: failed: no chip answers",
        "n2: planned",
        "s: refused: no answer",
        "most hosts out of service at once: 2, allowed 3",
    ]
    assert not good


@pytest.mark.parametrize("how", ["failed", "lost", "rolled back", "skipped", "refused", "in progress"])
def test_any_host_without_the_release_makes_a_bad_verdict(how: str) -> None:
    assert verdict_lines(history_told(plan("n0"), outcome("n0", "done")))[1]
    assert not verdict_lines(history_told(plan("n0"), outcome("n0", "done"), {"event": "end", "because": "x"}))[1]
    assert not verdict_lines(history_told(plan("n0"), outcome("n0", how)))[1]


def test_a_campaign_stands_from_its_first_event_to_its_end() -> None:
    assert not stands_for([])
    assert stands_for([CONTROLLER])
    assert not stands_for([CONTROLLER, {"event": "end"}, outcome("n0", "lost")])


def test_no_events_make_an_empty_history() -> None:
    assert history_of([]) == History()
