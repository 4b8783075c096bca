# SPDX-License-Identifier: Apache-2.0
"""What has happened in one fleet upgrade, made of the events of its record; the report is this as data.

A host counts as out of service from the moment before it is taken out until the moment after it is back, so the record
never shows fewer hosts out than there were, whatever killed the control side in between.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, Dict, Iterable, List, Mapping, Optional, Sequence, Set, Tuple

from telechat_runtime.upgrade.plan import BATCH, CANARY, INTERRUPTED

Event = Mapping[str, Any]

DONE = "done"
FAILED = "failed"
LOST = "lost"
SKIPPED = "skipped"
REFUSED = "refused"
ROLLED_BACK = "rolled back"
NOTHING_TO_DO = "nothing to do"
IN_PROGRESS = "in progress"
PLANNED = "planned"

# Each of them stands for a host that this campaign does not touch again, and counts as a failure.
FAILURES = (FAILED, LOST, ROLLED_BACK)
GOOD = (DONE, NOTHING_TO_DO)


@dataclass
class HostHistory:
    """What has happened to one host; `out` and `back` are when it left service and came back."""

    name: str
    before: Mapping[str, Optional[str]] = field(default_factory=dict)
    after: Optional[Mapping[str, Optional[str]]] = None
    outcome: str = PLANNED
    reason: str = ""
    wave: Optional[int] = None
    out: Optional[str] = None
    back: Optional[str] = None
    ended: Optional[str] = None
    logs: Optional[str] = None
    states: List[Dict[str, str]] = field(default_factory=list)

    @property
    def failed(self) -> bool:
        """Tell whether the upgrade failed here."""
        return self.outcome in FAILURES


@dataclass
class History:
    """The whole campaign, as far as its record goes."""

    campaign: str = ""
    release: str = ""
    started: Optional[str] = None
    ended: Optional[str] = None
    stopped_because: Optional[str] = None
    controllers: List[Dict[str, str]] = field(default_factory=list)
    limits: Mapping[str, int] = field(default_factory=dict)
    hosts: Dict[str, HostHistory] = field(default_factory=dict)
    waves: List[Dict[str, Any]] = field(default_factory=list)
    jobs: List[Dict[str, Any]] = field(default_factory=list)
    initially_out: Set[str] = field(default_factory=set)
    unavailable_counts: List[Dict[str, Any]] = field(default_factory=list)

    @property
    def failures(self) -> List[HostHistory]:
        """The hosts on which it failed."""
        return [host for host in self.hosts.values() if host.failed]

    @property
    def in_progress(self) -> List[str]:
        """The hosts that were begun with, and whose end is not recorded."""
        return [host.name for host in self.hosts.values() if host.outcome == IN_PROGRESS]

    @property
    def canary_passed(self) -> bool:
        """Tell whether the first wave has been through and did well."""
        return any(host.outcome == DONE for host in self.hosts.values())

    @property
    def most_unavailable(self) -> Mapping[str, Any]:
        """How many hosts were out of service at the worst moment, and when that began."""
        nothing = {"at": None, "count": 0}
        # Of equal ones the first.
        return max(self.unavailable_counts, key=lambda entry: int(entry["count"]), default=nothing)

    def unavailable(self) -> Set[str]:
        """Return the hosts that are out of service now: before the campaign already, or by it."""
        return self.taken_out() | self.initially_out

    def taken_out(self) -> Set[str]:
        """Return the hosts that the campaign has taken out of service and not put back."""
        return {host.name for host in self.hosts.values() if host.out is not None and host.back is None}

    def waiting_jobs(self) -> Dict[str, List[str]]:
        """Return the jobs that were stopped and are to be begun again, with the nodes that they ran on."""
        last = {job["job_id"]: job for job in self.jobs}
        return {job_id: list(job["nodes"] or []) for job_id, job in last.items() if job["waits"]}

    def host(self, name: str) -> HostHistory:
        """Return a host's history, made when it has none yet."""
        return self.hosts.setdefault(name, HostHistory(name))

    def stop_reason(self, kind: str) -> Optional[str]:
        """Return why no wave of this kind may begin: a canary did not get through, or more failed than is tolerated.

        What was interrupted is half upgraded and out of service; it goes on whatever became of others.
        """
        if kind == INTERRUPTED:
            return None
        failures = self.failures
        # A canary that was interrupted goes on in a wave of another kind.
        first = [wave["hosts"] for number, wave in enumerate(self.waves) if number == 0 or wave["kind"] == CANARY]
        for host in failures:
            if not self.canary_passed or any(host.name in hosts for hosts in first):
                return f"{host.name} of the first wave: {host.outcome}"
        tolerated = self.limits.get("max_failures", 0)
        if len(failures) > tolerated:
            names = ", ".join(host.name for host in failures)
            return f"{len(failures)} hosts failed ({names}), and {tolerated} are tolerated"
        if kind == BATCH and not self.canary_passed:
            return "no host of the first wave was upgraded, so nothing is known of this release here"
        return None


def parse_events(text: str) -> List[Event]:
    """Return the events of a record, one JSON object a line; a last line that was cut off never happened."""
    events: List[Event] = []
    for line in text.splitlines():
        try:
            event = json.loads(line)
        except ValueError:
            continue
        if isinstance(event, dict) and "event" in event and "at" in event:
            events.append(event)
    return events


def history_of(events: Iterable[Event]) -> History:
    """Return what the events make together."""
    history = History()
    for event in events:
        add_event(history, event)
    return history


def add_event(history: History, event: Event) -> None:
    """Add what an event says to the history of those before it."""
    handler = _HANDLERS.get(event["event"])
    if handler is not None:
        handler(history, event)
        _count(history, event["at"])


def _count(history: History, at: str) -> None:
    count = len(history.unavailable())
    last = history.unavailable_counts[-1]["count"] if history.unavailable_counts else 0
    if count != last:
        history.unavailable_counts.append({"at": at, "count": count})


def _on_controller(history: History, event: Event) -> None:
    history.campaign, history.release = event["campaign"], event["release"]
    history.started = history.started or event["at"]
    history.controllers.append({"started": event["at"], "operator": event["operator"]})


def _on_plan(history: History, event: Event) -> None:
    """Take what the look found of every host; the first plan says how the fleet was before."""
    history.limits = event["limits"]
    goes_on = {name for wave in event.get("waves", ()) if wave["kind"] == INTERRUPTED for name in wave["hosts"]}
    for name, found in event["hosts"].items():
        host = history.host(name)
        host.before = host.before or found["before"]
        if found["in_service"] and host.out is not None and host.back is None:
            # It was put back when nobody was there to record it.
            host.back = event["at"]
        if host.outcome == IN_PROGRESS and found["outcome"] == NOTHING_TO_DO:
            # It ended well when nobody was there to record it.
            host.outcome, host.ended = DONE, event["at"]
        if host.outcome not in (PLANNED, REFUSED, SKIPPED) and (host.outcome != IN_PROGRESS or name in goes_on):
            continue
        host.outcome, host.reason = found["outcome"], found["reason"]
        if host.outcome == NOTHING_TO_DO:
            host.after = found["before"]
    history.initially_out = set(event["out"]) - history.taken_out()


def _on_wave(history: History, event: Event) -> None:
    _end_waves(history, event["at"])
    wave = {"number": event["number"], "kind": event["kind"], "hosts": list(event["hosts"])}
    history.waves.append({**wave, "started": event["at"], "ended": None})
    for name in event["hosts"]:
        history.host(name).wave = event["number"]


def _on_out(history: History, event: Event) -> None:
    host = history.host(event["host"])
    host.outcome, host.reason = IN_PROGRESS, ""
    if host.name not in history.initially_out and (host.out is None or host.back is not None):
        host.out, host.back = event["at"], None


def _on_state(history: History, event: Event) -> None:
    host = history.host(event["host"])
    if not host.states or host.states[-1]["state"] != event["state"]:
        host.states.append({"state": event["state"], "at": event["at"]})


def _on_back(history: History, event: Event) -> None:
    host = history.host(event["host"])
    if host.out is not None:
        host.back = event["at"]
    # Out before the campaign for an upgrade that had failed: now it is in service like any other.
    history.initially_out.discard(host.name)


def _on_outcome(history: History, event: Event) -> None:
    host = history.host(event["host"])
    host.outcome, host.reason, host.ended = event["outcome"], event.get("reason", ""), event["at"]
    host.after = event.get("after") or host.after
    host.logs = event.get("logs") or host.logs


def _on_job(history: History, event: Event) -> None:
    history.jobs.append({name: event.get(name) for name in ("job_id", "what", "nodes", "waits", "at")})


def _on_end(history: History, event: Event) -> None:
    _end_waves(history, event["at"])
    history.ended, history.stopped_because = event["at"], event.get("because")


def _end_waves(history: History, at: str) -> None:
    for wave in history.waves:
        wave["ended"] = wave["ended"] or at


_HANDLERS = {
    "controller": _on_controller,
    "plan": _on_plan,
    "wave": _on_wave,
    "out": _on_out,
    "state": _on_state,
    "back": _on_back,
    "outcome": _on_outcome,
    "job": _on_job,
    "end": _on_end,
}


def verdict_lines(history: History) -> Tuple[List[str], bool]:
    """Return what to tell the operator at the end, and whether every host runs the release."""
    counts: Dict[str, List[HostHistory]] = {}
    for host in history.hosts.values():
        counts.setdefault(host.outcome, []).append(host)
    lines = [f"{len(hosts)} {outcome}" for outcome, hosts in counts.items()]
    lines = [f"{history.release} on {len(history.hosts)} hosts: {', '.join(lines)}"]
    lines += [f"stopped: {history.stopped_because}"] if history.stopped_because else []
    lines += _named(host for outcome, hosts in counts.items() if outcome not in GOOD for host in hosts)
    lines.append(
        f"most hosts out of service at once: {history.most_unavailable['count']}, allowed"
        f" {history.limits.get('allowed_unavailable', 0)}"
    )
    return lines, not history.stopped_because and set(counts) <= set(GOOD)


def _named(hosts: Iterable[HostHistory]) -> List[str]:
    alike: Dict[str, List[str]] = {}
    for host in hosts:
        alike.setdefault(": ".join(filter(None, [host.outcome, host.reason])), []).append(host.name)
    return [f"{', '.join(names)}: {words}" for words, names in alike.items()]


def stands_for(events: Sequence[Event]) -> bool:
    """Tell whether these events are of a campaign that has not ended."""
    return bool(events) and not any(event["event"] == "end" for event in events)
