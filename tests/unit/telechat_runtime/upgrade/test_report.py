# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from typing import Any, Dict, List

import pytest

from telechat_runtime.upgrade.history import history_of
from telechat_runtime.upgrade.report import make_report

OLD = {"driver": "24.1.rc2", "firmware": "7.3.0.1.231"}
NEW = {"driver": "24.1.0", "firmware": "7.5.0.3.220"}
LIMITS = {"hosts": 2, "allowed_unavailable": 1, "max_failures": 0, "batch": 1}


def event(second: int, name: str, **values: Any) -> Dict[str, Any]:
    return {"at": f"2026-03-14T09:00:{second:02}.000Z", "event": name, **values}


def found(outcome: str = "planned", reason: str = "") -> Dict[str, Any]:
    return {"outcome": outcome, "reason": reason, "before": OLD, "in_service": True}


BEGINNING = [
    event(0, "controller", campaign="24.1.0-1", release="24.1.0", operator="ops@control"),
    event(1, "plan", limits=LIMITS, hosts={"node0": found(), "node1": found("refused", "disk: full")}, out=[]),
    event(2, "wave", number=1, kind="canary", hosts=["node0"]),
    event(3, "out", host="node0"),
    event(4, "state", host="node0", state="draining"),
    event(5, "job", job_id="finetune-1", what="stopped after a checkpoint", nodes=["node0"], waits=True),
    event(6, "state", host="node0", state="upgrading"),
]
DONE = [
    event(20, "state", host="node0", state="done"),
    event(20, "outcome", host="node0", outcome="done", reason="", after=NEW),
    event(21, "back", host="node0"),
]
FAILED = [event(9, "outcome", host="node0", outcome="failed", reason="no chip answers", logs="/records/node0")]


def report(events: List[Dict[str, Any]]) -> Dict[str, Any]:
    return make_report(history_of(events))


def test_a_report_has_all_of_its_schema() -> None:
    assert report([*BEGINNING, *DONE, event(22, "end")]) == {
        "schema": 1,
        "campaign": "24.1.0-1",
        "release": "24.1.0",
        "state": "finished",
        "stopped_because": None,
        "started": "2026-03-14T09:00:00.000Z",
        "ended": "2026-03-14T09:00:22.000Z",
        "controllers": [{"started": "2026-03-14T09:00:00.000Z", "operator": "ops@control"}],
        "limits": LIMITS,
        "most_unavailable": {"count": 1, "at": "2026-03-14T09:00:03.000Z"},
        "unavailable": [
            {"count": 1, "at": "2026-03-14T09:00:03.000Z"},
            {"count": 0, "at": "2026-03-14T09:00:21.000Z"},
        ],
        "hosts": [
            {
                "name": "node0",
                "outcome": "done",
                "reason": "",
                "wave": 1,
                "before": OLD,
                "after": NEW,
                "out": "2026-03-14T09:00:03.000Z",
                "back": "2026-03-14T09:00:21.000Z",
                "ended": "2026-03-14T09:00:20.000Z",
                "seconds": 16.0,
                "states": [
                    {"state": "draining", "at": "2026-03-14T09:00:04.000Z"},
                    {"state": "upgrading", "at": "2026-03-14T09:00:06.000Z"},
                    {"state": "done", "at": "2026-03-14T09:00:20.000Z"},
                ],
                "logs": None,
            },
            {
                "name": "node1",
                "outcome": "refused",
                "reason": "disk: full",
                "wave": None,
                "before": OLD,
                "after": None,
                "out": None,
                "back": None,
                "ended": None,
                "seconds": None,
                "states": [],
                "logs": None,
            },
        ],
        "waves": [
            {
                "number": 1,
                "kind": "canary",
                "hosts": ["node0"],
                "started": "2026-03-14T09:00:02.000Z",
                "ended": "2026-03-14T09:00:22.000Z",
            }
        ],
        "jobs": [{"job_id": "finetune-1", "what": "stopped after a checkpoint", "at": "2026-03-14T09:00:05.000Z"}],
    }


def test_a_host_that_failed_stays_out_and_says_why() -> None:
    host = report([*BEGINNING, *FAILED])["hosts"][0]
    assert (host["outcome"], host["reason"], host["logs"]) == ("failed", "no chip answers", "/records/node0")
    assert (host["back"], host["after"], host["seconds"]) == (None, None, 5.0)


def test_a_host_in_the_middle_has_no_seconds_yet() -> None:
    host = report(BEGINNING)["hosts"][0]
    assert (host["outcome"], host["seconds"], host["back"]) == ("in progress", None, None)


@pytest.mark.parametrize(
    ("events", "state", "because"),
    [
        ([], "running", None),
        (BEGINNING, "running", None),
        ([*BEGINNING, *DONE, event(22, "end")], "finished", None),
        ([*BEGINNING, *FAILED, event(22, "end", because="node0 failed")], "stopped", "node0 failed"),
    ],
)
def test_the_state_of_a_campaign(events: List[Dict[str, Any]], state: str, because: str) -> None:
    made = report(events)
    assert (made["state"], made["stopped_because"]) == (state, because)


@pytest.mark.parametrize("events", [[], BEGINNING, [*BEGINNING, *DONE, event(22, "end")]])
def test_a_report_is_the_same_after_json(events: List[Dict[str, Any]]) -> None:
    made = report(events)
    assert json.loads(json.dumps(made)) == made


def test_every_start_of_the_control_side_is_told() -> None:
    again = event(30, "controller", campaign="24.1.0-1", release="24.1.0", operator="night@control")
    made = report([*BEGINNING, again])
    assert [controller["operator"] for controller in made["controllers"]] == ["ops@control", "night@control"]
    assert made["started"] == "2026-03-14T09:00:00.000Z"
