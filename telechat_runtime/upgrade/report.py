# SPDX-License-Identifier: Apache-2.0
"""The report of a fleet upgrade as data, for programs and for the page."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Dict, Optional

from telechat_runtime.upgrade.history import History, HostHistory

SCHEMA = 1


def make_report(history: History) -> Dict[str, Any]:
    """Return the report of a campaign, also of one that still runs."""
    state = "running" if history.ended is None else "stopped" if history.stopped_because else "finished"
    return {
        "schema": SCHEMA,
        "campaign": history.campaign,
        "release": history.release,
        "state": state,
        "stopped_because": history.stopped_because,
        "started": history.started,
        "ended": history.ended,
        "controllers": history.controllers,
        "limits": dict(history.limits),
        "most_unavailable": dict(history.most_unavailable),
        "unavailable": history.unavailable_counts,
        "hosts": [_host(host) for host in history.hosts.values()],
        "waves": history.waves,
        "jobs": [{name: job[name] for name in ("job_id", "what", "at")} for job in history.jobs],
    }


def _host(host: HostHistory) -> Dict[str, Any]:
    return {
        "name": host.name,
        "outcome": host.outcome,
        "reason": host.reason,
        "wave": host.wave,
        "before": _versions(host.before),
        "after": _versions(host.after) if host.after is not None else None,
        "out": host.out,
        "back": host.back,
        "ended": host.ended,
        "seconds": _seconds(host.states[0]["at"] if host.states else None, host.ended),
        "states": host.states,
        "logs": host.logs,
    }


def _versions(versions: Any) -> Dict[str, Optional[str]]:
    return {component: versions.get(component) for component in ("driver", "firmware")}


def _seconds(start: Optional[str], end: Optional[str]) -> Optional[float]:
    if start is None or end is None:
        return None
    return round(moment_of(end) - moment_of(start), 1)


def moment_of(at: str) -> float:
    """Return a time of the report as seconds since 1970."""
    return datetime.fromisoformat(at.replace("Z", "+00:00")).timestamp()
