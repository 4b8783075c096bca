# SPDX-License-Identifier: Apache-2.0
"""A node's part in a fleet upgrade: how far it is, for whom, and that it takes no jobs meanwhile.

`/etc/telechat/upgrade.json` says how far the node is, replaced as a whole at every step, so whatever kills the control
side, the next run reads where this node stands. `<job_root>/service.json` keeps new jobs away (telechat_runtime.node
.service obeys it; a job takes the lease first and looks at that file then, so here it is the other way round). A node
that was in maintenance before keeps that file as it is, and stays in maintenance.
"""

from __future__ import annotations

import os
import time
from typing import Any, Dict, List, Mapping, NamedTuple, Optional

from ansible.module_utils.ascend import lease_file, service_file
from ansible.module_utils.ascend.schema import check_schema
from ansible.module_utils.ascend.service_file import (
    ACTIVE,
    DONE,
    DRAINING,
    FAILED,
    REBOOTING,
    REQUIRED,
    ROLLED_BACK,
    UPGRADE,
    UPGRADE_SCHEMA,
    UPGRADING,
    VALIDATING,
)
from ansible.module_utils.hdk.record import read_json, write_json

RECORD = service_file.UPGRADE_RECORD[1:]

# From here on driver and firmware may be neither the old nor the new ones.
CHANGING = (UPGRADING, REBOOTING, VALIDATING)

# The release of a campaign that goes back: each node to what it ran before.
ROLLBACK = "rollback"

_HISTORY_ENTRIES = 100
_POLL_SECONDS = 0.5


class Campaign(NamedTuple):
    """One upgrade of the fleet: its id, who runs it, and the release that it brings."""

    id: str
    operator: str
    release: str


class ClaimedError(Exception):
    """The node is in the middle of another campaign."""


class NodeUpgrade:
    """The records below a root folder (`/` on a server)."""

    def __init__(self, job_root: str, root: str = "/") -> None:
        self._record = os.path.join(root, RECORD)
        self._job_root = os.path.join(root, os.path.expanduser(job_root).lstrip("/"))
        self._service = os.path.join(self._job_root, service_file.NAME)

    def look(self) -> Dict[str, Any]:
        """Return `upgrade` and `service`, null for what there is nothing to say of, and the `job` that runs here."""
        return {"upgrade": read_json(self._record) or None, "service": self._out_of_service(), "job": self._job()}

    def record(self) -> Dict[str, Any]:
        """Return what /etc/telechat/upgrade.json says; empty where it says nothing. Raises NewerSchemaError."""
        return _read(self._record)

    def require(self, campaign: Campaign, before: Dict[str, Any]) -> None:
        """Note that the campaign will come here. Raises ClaimedError."""
        self._check_claim(campaign, take_over=False)
        if self._is_at_work_for(campaign):
            return
        self._begin(campaign, REQUIRED, before)

    def drain(self, campaign: Campaign, before: Dict[str, Any], *, take_over: bool) -> bool:
        """Take the node out of service for the campaign; tell whether its driver and firmware are untouched yet.

        One that was interrupted later than this goes on where it is. Raises ClaimedError.
        """
        self._check_claim(campaign, take_over=take_over)
        record = self.record()
        goes_on = record.get("state") in CHANGING
        # First the file that keeps jobs away: whoever reads the state then finds it there.
        self._take_out(campaign, f"upgrade to {campaign.release}")
        if self._is_at_work_for(campaign):
            if record.get("operator") != campaign.operator:
                self._note(dict(record, operator=campaign.operator), str(record["state"]), "goes on")
            return not goes_on
        if goes_on:
            mine = dict(record, run=campaign.id, operator=campaign.operator, release=campaign.release)
            self._note(mine, str(record["state"]), f"taken over from {record.get('operator')}")
            return False
        self._begin(campaign, DRAINING, before)
        return True

    def wait_for_jobs(self, seconds: float) -> Optional[str]:
        """Wait until no job holds the node's lease; return the job that still does after that time."""
        until = time.monotonic() + seconds
        while True:
            job = self._job()
            if job is None or time.monotonic() >= until:
                return job
            time.sleep(_POLL_SECONDS)

    def advance(self, campaign: Campaign, state: str, reason: str = "") -> None:
        """Note how far the node is. Raises ClaimedError."""
        self._check_claim(campaign, take_over=False)
        self._note(self.record(), state, reason)

    def begin_work(self, campaign: Campaign) -> None:
        """Note that a node without jobs is worked on; one that is past that stays where it is. Raises ClaimedError."""
        if self.record().get("state") == DRAINING:
            self.advance(campaign, UPGRADING)

    def finish(self, campaign: Campaign, state: str, reason: str = "") -> None:
        """Note how it ended; the node is back in service unless it failed, or was in maintenance before.

        Raises ClaimedError.
        """
        self.advance(campaign, state, reason)
        if state == FAILED:
            self._take_out(campaign, f"upgrade to {campaign.release} failed: {reason}")
            return
        if state == REQUIRED and self.record().get("found_half_way"):
            # An earlier campaign left it so, and this one has done nothing to it.
            self._take_out(campaign, f"an earlier upgrade failed, and this one did not try it: {reason}")
            return
        out = self._out_of_service()
        if out is not None and out["kind"] == UPGRADE:
            os.unlink(self._service)

    def _begin(self, campaign: Campaign, state: str, before: Dict[str, Any]) -> None:
        record = self.record()
        # What ran before the campaign, not before its last attempt, nor in the middle of one that went wrong.
        half_way = _left_half_way(record)
        new = {
            "run": campaign.id,
            "release": campaign.release,
            "operator": campaign.operator,
            "from": record["from"] if half_way or record.get("run") == campaign.id else before,
            "found_half_way": half_way,
            "history": record.get("history", []),
        }
        if campaign.release == ROLLBACK:
            new["to"] = _way_back(record)
        self._note(new, state)

    def _note(self, record: Dict[str, Any], state: str, reason: str = "") -> None:
        """Write the record with this state, at once: whoever reads a record finds a state in it."""
        entry = {"state": state, "at": _now(), "reason": reason, "operator": record.get("operator")}
        history = [*record.get("history", []), entry][-_HISTORY_ENTRIES:]
        new = dict(record, schema=UPGRADE_SCHEMA, state=state, since=entry["at"], reason=reason, history=history)
        write_json(self._record, new)

    def _is_at_work_for(self, campaign: Campaign) -> bool:
        record = self.record()
        return record.get("run") == campaign.id and record.get("state") in ACTIVE

    def _check_claim(self, campaign: Campaign, *, take_over: bool) -> None:
        record = self.record()
        if take_over or record.get("state") not in ACTIVE or record.get("run") == campaign.id:
            return
        raise ClaimedError(
            f"{record.get('run')} of {record.get('operator')} has had it {record['state']} since {record.get('since')}"
        )

    def _job(self) -> Optional[str]:
        held = lease_file.look(os.path.join(self._job_root, lease_file.NAME)).held
        return None if held is None else str(held.get("job_id", "?"))

    def _out_of_service(self) -> Optional[Dict[str, Any]]:
        return service_file.out_of_service(self._service)

    def _take_out(self, campaign: Campaign, reason: str) -> None:
        out = self._out_of_service()
        if out is not None and out["kind"] != UPGRADE:
            return
        since = out["since"] if out else _now()
        by = campaign.operator
        service_file.take_out_of_service(self._service, kind=UPGRADE, reason=reason, by=by, since=since)


def versions_before(root: str = "/") -> Dict[str, Optional[str]]:
    """Return component → the version to go back to: what ran before the last upgrade that brought anything.

    Empty when no upgrade is noted. A node that went back, or is about to, keeps where it goes. Raises NewerSchemaError.
    """
    return dict(_way_back(_read(os.path.join(root, RECORD))))


def noted_versions(root: str = "/") -> List[Optional[str]]:
    """Return the versions of driver and firmware that the record names, whose packages are still of use.

    Raises NewerSchemaError.
    """
    record = _read(os.path.join(root, RECORD))
    return [*record.get("from", {}).values(), *record.get("to", {}).values()]


def _read(path: str) -> Dict[str, Any]:
    record = read_json(path)
    check_schema(record, UPGRADE_SCHEMA, path)
    return record


def _way_back(record: Mapping[str, Any]) -> Mapping[str, Optional[str]]:
    return record.get("to") or record.get("from") or {}


def _left_half_way(record: Mapping[str, Any]) -> bool:
    """Tell whether a campaign began with driver and firmware, and neither it nor one after it came to an end."""
    state = record.get("state")
    found = bool(record.get("found_half_way"))
    return state in (*CHANGING, FAILED) or (found and state not in (DONE, ROLLED_BACK))


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
