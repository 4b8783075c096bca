# SPDX-License-Identifier: Apache-2.0
"""Whether this node is in service: new jobs start only on nodes that are, unless they are asked for by name.

`<job_root>/service.json` says why a node is out; without it the node is in service. The job root is the same in the
container, where jobs start, and on the server, where upgrades are made. `node service` reads and writes it; it also
shows what the fleet upgrade has written down on the server (/etc/telechat/upgrade.json).
"""

from __future__ import annotations

import contextlib
import os
from typing import Any, Callable, Dict, Optional

from telechat_runtime.ascend import service_file
from telechat_runtime.ascend.atomic_file import read_object
from telechat_runtime.ascend.schema import UPGRADE_RUNTIME, NewerSchemaError, check_schema
from telechat_runtime.ascend.service_file import ACTIVE, KINDS, UPGRADE_RECORD, UPGRADE_SCHEMA
from telechat_runtime.errors import PreflightError, ProtocolError, UsageError
from telechat_runtime.job.paths import JobPaths
from telechat_runtime.node.supervision.state import job_paths, utc_now


def run(request: Dict[str, Any], out: Callable[[Dict[str, Any]], None]) -> int:
    """Write service and upgrade as they are; first take the node out of service or put it in, if `set` says so.

    Raises:
        PreflightError: The node is out for another reason than the one that is to end, or the file can't be written.
        UsageError: `set` is not what the node protocol says.

    """
    paths = job_paths(request, "service")
    wish = request.get("set")
    if wish is not None:
        _set(paths, wish)
    out(look(request))
    return 0


def look(request: Dict[str, Any]) -> Dict[str, Any]:
    """Return service and upgrade, null for each that there is nothing to say of."""
    return {"service": out_of_service(job_paths(request, "service")), "upgrade": read_object(UPGRADE_RECORD)}


def out_of_service(paths: JobPaths) -> Optional[Dict[str, Any]]:
    """Return why the node takes no jobs: kind, reason, by, since; None when it is in service."""
    return service_file.out_of_service(paths.service)


def refuse_out_of_service(paths: JobPaths) -> None:
    """Raise PreflightError when the node is out of service."""
    found = out_of_service(paths)
    if found is not None:
        raise PreflightError(f"out of service: {told(found)}", next_step="wait, or leave it out: --exclude, --nodes")


def told(service: Dict[str, Any]) -> str:
    """Write why a node is out of service."""
    return f"{service['reason']} ({service['by']}, since {service['since']})"


def _set(paths: JobPaths, wish: Dict[str, Any]) -> None:
    kind = wish.get("kind")
    if kind not in KINDS or not isinstance(wish.get("out"), bool):
        raise UsageError(f"set wants out: true or false, and kind: {' or '.join(KINDS)}")
    found = out_of_service(paths)
    if found is not None and found["kind"] != kind:
        raise PreflightError(f"it is out of service for another reason: {told(found)}")
    upgrade = _upgrade()
    if not wish["out"] and upgrade.get("state") in ACTIVE:
        raise PreflightError(
            f"an upgrade to {upgrade.get('release')} has it {upgrade['state']}, since {upgrade.get('since')}",
            next_step="put it in service when that has ended",
        )
    try:
        if not wish["out"]:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(paths.service)
            return
        since = found["since"] if found else utc_now()
        reason, by = str(wish.get("reason") or kind), str(wish.get("by"))
        service_file.take_out_of_service(paths.service, kind=kind, reason=reason, by=by, since=since)
    except OSError as error:
        raise PreflightError(f"{paths.service} can't be written: {error.strerror}") from error


def _upgrade() -> Dict[str, Any]:
    upgrade = read_object(UPGRADE_RECORD) or {}
    try:
        check_schema(upgrade, UPGRADE_SCHEMA, UPGRADE_RECORD)
    except NewerSchemaError as error:
        raise ProtocolError(str(error), next_step=UPGRADE_RUNTIME) from error
    return upgrade
