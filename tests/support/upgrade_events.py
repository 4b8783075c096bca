# SPDX-License-Identifier: Apache-2.0
"""Events as the action plugins write them into the record of a campaign, in short."""

from __future__ import annotations

from typing import Any, Dict, Mapping, Sequence

from telechat_runtime.upgrade.history import Event, History, history_of

RELEASE = "24.1.rc3"
CAMPAIGN = f"{RELEASE}-20260101T000000Z-5d1c"
OLD = {"driver": "23.0.3", "firmware": "7.1.0.5.220"}
NEW = {"driver": "24.1.rc3", "firmware": "7.5.0.1.129"}

CONTROLLER: Event = {"event": "controller", "campaign": CAMPAIGN, "release": RELEASE, "operator": "lin@ops1"}


def history_told(*events: Event) -> History:
    """Return the history of these events, which happened a second after one another."""
    return history_of({"at": time_of(number), **event} for number, event in enumerate(events))


def time_of(number: int) -> str:
    return f"2026-01-01T00:00:{number:02}.000Z"


def plan(
    *names: str,
    out: Sequence[str] = (),
    goes_on: Sequence[str] = (),
    ready: Sequence[str] = (),
    refused: Mapping[str, str] = {},
    allowed: int = 3,
    max_failures: int = 1,
) -> Dict[str, Any]:
    """Return the event of a plan that has these hosts in a wave, those that go on in the one before."""
    waves = [{"number": 1, "kind": "interrupted", "hosts": list(goes_on)}] if goes_on else []
    waves += [{"number": 2, "kind": "batch", "hosts": list(names)}] if names else []
    outcomes = {
        **dict.fromkeys([*names, *goes_on], ("planned", "")),
        **dict.fromkeys(ready, ("nothing to do", "")),
        **{name: ("refused", reason) for name, reason in refused.items()},
    }
    return {
        "event": "plan",
        "limits": {"hosts": len(outcomes), "allowed_unavailable": allowed, "max_failures": max_failures, "batch": 1},
        "waves": waves,
        "out": list(out),
        "hosts": {
            name: {"outcome": outcome, "reason": reason, "before": OLD, "in_service": name not in out}
            for name, (outcome, reason) in outcomes.items()
        },
    }


def wave(number: int, *hosts: str, kind: str = "batch") -> Dict[str, Any]:
    return {"event": "wave", "number": number, "kind": kind, "hosts": list(hosts)}


def out(host: str) -> Dict[str, Any]:
    return {"event": "out", "host": host}


def back(host: str) -> Dict[str, Any]:
    return {"event": "back", "host": host}


def state(host: str, name: str) -> Dict[str, Any]:
    return {"event": "state", "host": host, "state": name}


def outcome(host: str, name: str, reason: str = "", **more: Any) -> Dict[str, Any]:
    return {"event": "outcome", "host": host, "outcome": name, "reason": reason, **more}


def done(host: str) -> Sequence[Event]:
    """Return the events of a host on which all went well."""
    return (out(host), outcome(host, "done", after=NEW), back(host))
