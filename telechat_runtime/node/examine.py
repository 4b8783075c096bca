# SPDX-License-Identifier: Apache-2.0
"""`node examine`: everything that telechat-run doctor wants to know of the place where this runs, in one answer.

It runs twice a node: in the container, where the jobs' software is, and on the server, where kernel and firmware are.
"""

from __future__ import annotations

from typing import Any, Callable, Dict

from telechat_runtime.errors import UsageError
from telechat_runtime.node import chips, kernels, probe, status, versions

_SECTIONS: Dict[str, Callable[[Dict[str, Any]], Any]] = {
    "versions": versions.look,
    "probe": probe.look,
    "jobs": status.look,
    "chips": lambda _request: chips.look(),
    "kernels": lambda _request: kernels.look(),
}


def run(request: Dict[str, Any], out: Callable[[Dict[str, Any]], None]) -> int:
    """Write the sections that the request names."""
    names = request.get("sections", [])
    unknown = [name for name in names if name not in _SECTIONS]
    if unknown:
        raise UsageError(f"sections has {unknown[0]!r}; there are {', '.join(_SECTIONS)}")
    out({name: _SECTIONS[name](request) for name in names})
    return 0
