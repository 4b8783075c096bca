# SPDX-License-Identifier: Apache-2.0
"""`node examine`: everything that telechat-run doctor wants to know of the place where this runs, in one answer.

It runs in the container, where the jobs' software is, and on the server, where kernel and firmware are.
"""

from __future__ import annotations

import glob
import time
from typing import Any, Callable, Dict

from telechat_runtime.errors import UsageError
from telechat_runtime.node import probe, service, status, versions
from telechat_runtime.node.facts import chips, container, hccn, kernels, leftovers, shared_folders

_SECTIONS: Dict[str, Callable[[Dict[str, Any]], Any]] = {
    "versions": versions.look,
    "probe": probe.look,
    "jobs": status.look,
    "chips": lambda _request: chips.look(),
    "kernels": lambda _request: kernels.look(),
    "hccn": lambda _request: hccn.look(),
    "pings": lambda request: hccn.ping(request.get("pings", [])),
    "container": lambda request: container.look(request.get("container")),
    "devices": lambda _request: sorted(glob.glob("/dev/davinci*")),
    "leftovers": leftovers.look,
    "shared_folders": shared_folders.look,
    "service": service.look,
}


def run(request: Dict[str, Any], out: Callable[[Dict[str, Any]], None]) -> int:
    """Write the sections that the request names, and the node's time (seconds since 1970) before and after."""
    began = time.time()
    names = request.get("sections", [])
    unknown = [name for name in names if name not in _SECTIONS]
    if unknown:
        raise UsageError(f"sections has {unknown[0]!r}; there are {', '.join(_SECTIONS)}")
    answer = {name: _SECTIONS[name](request) for name in names}
    out({**answer, "clock": {"began": began, "ended": time.time()}})
    return 0
