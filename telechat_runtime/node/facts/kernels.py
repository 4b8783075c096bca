# SPDX-License-Identifier: Apache-2.0
"""Which kernels a server has, and for which of them the driver's module was built."""

from __future__ import annotations

import platform
from typing import Any, Dict, Optional

from telechat_runtime.ascend.kernels import installed_kernels, module_file


def look(root: str = "/") -> Optional[Dict[str, Any]]:
    """Return the running kernel, the installed ones, oldest first, and those with a module of the driver.

    None where no kernel is installed: in a container that is the image's own, which says nothing of the server.
    """
    installed = installed_kernels(root)
    if not installed:
        return None
    running = platform.release()
    known = dict.fromkeys([*installed, running])
    return {
        "running": running,
        "installed": installed,
        "with_module": [release for release in known if module_file(release, root)],
    }
