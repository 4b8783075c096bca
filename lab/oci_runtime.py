#!/usr/bin/python3 -IS
# SPDX-License-Identifier: Apache-2.0
"""OCI runtime for machines whose kernel grants nobody CAP_SYS_RESOURCE: runc without what it cannot give.

runc refuses a container that asks for a missing capability (`--privileged`) or for raised limits. This takes just those
out of the container's specification and starts runc. The lab places it in hosts as it stands here.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

RUNC = "/usr/sbin/runc"
MISSING = "CAP_SYS_RESOURCE"
# Options whose value says where the specification is: runc create/run --bundle, runc exec --process.
BUNDLE_OPTIONS = ("--bundle", "-b")
PROCESS_OPTIONS = ("--process", "-p")


def specification(argv: list[str]) -> Path | None:
    """Return the path of the specification that a runc command line names."""
    for option, value in zip(argv, argv[1:]):
        if option in BUNDLE_OPTIONS:
            return Path(value) / "config.json"
        if option in PROCESS_OPTIONS:
            return Path(value)
    return None


def without_missing(document: dict[str, Any]) -> dict[str, Any]:
    """Return a specification (of a container, or of a process in it) without the capability and the limits."""
    process = dict(document.get("process") or document)
    process.pop("rlimits", None)
    granted = process.get("capabilities") or {}
    process["capabilities"] = {name: [one for one in some if one != MISSING] for name, some in granted.items()}
    return {**document, "process": process} if document.get("process") else process


def main(argv: list[str]) -> None:
    """Rewrite the specification, become runc."""
    path = specification(argv)
    if path and path.exists():
        path.write_text(json.dumps(without_missing(json.loads(path.read_text()))))
    os.execv(RUNC, [RUNC, *argv])  # noqa: S606 - that is its job


if __name__ == "__main__":
    main(sys.argv[1:])
