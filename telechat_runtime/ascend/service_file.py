# SPDX-License-Identifier: Apache-2.0
"""Whether a node is in service, and how far a fleet upgrade is with it.

`<job_root>/service.json` says why a node takes no jobs; without it the node is in service. /etc/telechat/upgrade.json
on the server says how far the upgrade is.
"""

from __future__ import annotations

import json
import os
from typing import Any, Dict, Optional

from .atomic_file import read_object, replace_file

NAME = "service.json"
UPGRADE_RECORD = "/etc/telechat/upgrade.json"
UPGRADE_SCHEMA = 1
"""Schema number of upgrade.json (docs/schemas/README.md)."""

# Who took the node out of service: only the same puts it in again.
MAINTENANCE = "maintenance"
UPGRADE = "upgrade"
KINDS = (MAINTENANCE, UPGRADE)

# The states of a node in an upgrade.
REQUIRED = "upgrade-required"
DRAINING = "draining"
UPGRADING = "upgrading"
REBOOTING = "rebooting"
VALIDATING = "validating"
DONE = "done"
FAILED = "failed"
ROLLED_BACK = "rolled-back"

# While a node is in one of these, it belongs to the campaign that brought it there.
ACTIVE = (DRAINING, UPGRADING, REBOOTING, VALIDATING)


def out_of_service(path: str) -> Optional[Dict[str, Any]]:
    """Return why the node takes no jobs: kind, reason, by, since; None when it is in service.

    A file that can't be read keeps the node out: somebody meant it to be.
    """
    if not os.path.exists(path):
        return None
    found = read_object(path)
    if found and {"kind", "reason", "by", "since"} <= set(found):
        return found
    return {"kind": MAINTENANCE, "reason": f"{path} can't be read", "by": "unknown", "since": "unknown"}


def take_out_of_service(path: str, *, kind: str, reason: str, by: str, since: str) -> None:
    """Write why the node takes no jobs from now on. Raises OSError."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    replace_file(path, json.dumps({"kind": kind, "reason": reason, "by": by, "since": since}))
