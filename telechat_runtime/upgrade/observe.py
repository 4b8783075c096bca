# SPDX-License-Identifier: Apache-2.0
"""What Ansible's looks at the hosts say, as the planner wants it."""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

from telechat_runtime.ascend.schema import UPGRADE_PLAYBOOKS, NewerSchemaError, check_schema
from telechat_runtime.ascend.service_file import ACTIVE, FAILED, ROLLED_BACK, UPGRADE, UPGRADE_RECORD, UPGRADE_SCHEMA
from telechat_runtime.node.service import told as why_out
from telechat_runtime.upgrade.plan import HostLook

_FAILED = (FAILED, ROLLED_BACK)
# What a job that is waited for, or stopped, takes with it.
_ENDS_WITH_THE_JOB = ("device_in_use", "job lease")


def host_look(
    name: str,
    look: Mapping[str, Any],
    problems: Sequence[Mapping[str, str]],
    campaign: Optional[str],
    *,
    take_over: bool = False,
) -> HostLook:
    """Return the look at one host, made of `ascend_info`'s as it was registered.

    `problems` are the host's, with the one that it gave no answer. `campaign` is the one that goes on, if any does.
    """
    if "pending" not in look:
        said = _told(problems) or (str(look.get("msg") or look.get("module_stderr") or "it gave no answer"),)
        return HostLook(name=name, problems=said, reachable=False)
    node = look["facts"]["node"]
    hdk = look["facts"].get("ascend_hdk", {})
    job, service, record = node["job"], node["service"], node["upgrade"] or {}
    newer = _newer(record)
    record = {} if newer else record
    mine = record.get("run") == campaign
    active = record.get("state") in ACTIVE
    left = [found for found in problems if not (job and found["check"] in _ENDS_WITH_THE_JOB)]
    return HostLook(
        name=name,
        work=_work(look["pending"], hdk.get("held_up") or (), service),
        problems=(*newer, *_claim(record, mine=mine or take_over), *_failure(record, mine=mine), *_told(left)),
        seconds=int(hdk.get("estimate_seconds") or 0),
        before=_before(record, running_versions(hdk), mine=mine),
        out=None if service is None else why_out(service),
        stays_out=service is not None and service["kind"] != UPGRADE,
        job=job,
        interrupted=active and (mine or take_over),
    )


def running_versions(hdk: Mapping[str, Any]) -> Dict[str, Optional[str]]:
    """Return the versions of driver and firmware that run, else those installed, from the look's `ascend_hdk`."""
    found = {}
    for component in ("driver", "firmware"):
        versions = hdk.get(component, {})
        found[component] = " and ".join(versions.get("running") or []) or versions.get("installed")
    return found


def told(problem: Mapping[str, str]) -> str:
    """Write a problem in one line."""
    return f"{problem['check']}: {problem['value']} (rule: {problem['rule']}) -> {problem['next_step']}"


def _told(problems: Sequence[Mapping[str, str]]) -> Tuple[str, ...]:
    return tuple(told(problem) for problem in problems)


def _work(pending: Mapping[str, str], held_up: Sequence[str], service: Optional[Mapping[str, Any]]) -> Tuple[str, ...]:
    # A plan that a problem forbids is none of the pending ones; the problem may end with the job.
    work: List[str] = [f"ascend_hdk: {'; '.join(held_up)}"] if held_up else []
    work += [f"{role}: {reason}" for role, reason in pending.items()]
    if not work and service is not None and service["kind"] == UPGRADE:
        work.append("nothing to install; look whether it is as wanted, and put it back in service")
    return tuple(work)


def _newer(record: Mapping[str, Any]) -> Tuple[str, ...]:
    """Return why this release can't tell how far an upgrade is on the node: a newer one noted it there."""
    try:
        check_schema(record, UPGRADE_SCHEMA, UPGRADE_RECORD)
    except NewerSchemaError as error:
        return (f"newer: {error} -> {UPGRADE_PLAYBOOKS}",)
    return ()


def _claim(record: Mapping[str, Any], *, mine: bool) -> Tuple[str, ...]:
    if mine or record.get("state") not in ACTIVE:
        return ()
    claim = f"{record.get('run')} of {record.get('operator')} has had it {record['state']} since {record.get('since')}"
    return (f"claimed: {claim} -> wait for it; when it is known to be dead, -e fleet_upgrade_take_over=true",)


def _failure(record: Mapping[str, Any], *, mine: bool) -> Tuple[str, ...]:
    """Tell what this campaign's record may lack, as nobody was there to write it: that it failed on this node."""
    if not mine or record.get("state") not in _FAILED:
        return ()
    return (f"{record['state']}: {record.get('reason')} -> a new upgrade tries it again",)


def _before(record: Mapping[str, Any], running: Dict[str, Optional[str]], *, mine: bool) -> Mapping[str, Optional[str]]:
    """Return what ran before the campaign: what the node noted when it began, else what runs now."""
    return dict(record["from"]) if mine and record.get("from") else running
