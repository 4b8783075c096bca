# SPDX-License-Identifier: Apache-2.0
"""Which kernels a server has, and for which of them the driver's module was built."""

from __future__ import annotations

import os
import platform
import re
from typing import Any, Dict, List, Optional, Tuple

_IMAGE = re.compile(r"vmlinu[xz]-(?P<release>\d.*)(?<!\.old)(?<!\.bak)(?<!\.hmac)")
_MODULE = re.compile(r"drv_pcie_host\.ko(\.(xz|zst|gz))?")
# Where DKMS and a direct installation put modules; weak-updates links to those of a kernel with the same symbols.
_MODULE_FOLDERS = ("updates", "extra", "weak-updates")


def look(root: str = "/") -> Optional[Dict[str, Any]]:
    """Return the running kernel, the installed ones, oldest first, and those with a module of the driver.

    None where no kernel is installed: in a container that is the image's own, which says nothing of the server.
    """
    installed = _installed(os.path.join(root, "boot"))
    if not installed:
        return None
    running = platform.release()
    known = dict.fromkeys([*installed, running])
    return {
        "running": running,
        "installed": installed,
        "with_module": [release for release in known if _has_module(os.path.join(root, "lib/modules", release))],
    }


def _installed(folder: str) -> List[str]:
    try:
        names = os.listdir(folder)
    except OSError:
        return []
    releases = {match.group("release") for match in map(_IMAGE.fullmatch, names) if match}
    return sorted(releases, key=_order)


def _order(release: str) -> Tuple[Tuple[int, str], ...]:
    """Return a key by which 6.8.0-101 stands after 6.8.0-45."""
    pieces = re.findall(r"\d+|[a-z]+", release.lower())
    return tuple((int(piece), "") if piece.isdigit() else (-1, piece) for piece in pieces)


def _has_module(folder: str) -> bool:
    for name in _MODULE_FOLDERS:
        for path, _, files in os.walk(os.path.join(folder, name)):
            # A link of weak-updates may have lost its target.
            if any(_MODULE.fullmatch(file) and os.path.exists(os.path.join(path, file)) for file in files):
                return True
    return False
