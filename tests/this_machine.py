# SPDX-License-Identifier: Apache-2.0
"""This machine alone as an inventory: jobs on CPU, without SSH and without a container."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def write_inventory(folder: Path, *, npus: int = 1, **variables: Any) -> Path:
    """Write hosts.yml into a folder, jobs go to its `root`; `variables` come on top of the group's own."""
    host = {"ansible_connection": "local", "ascend_node_addr": "127.0.0.1", "ascend_npu_count": npus}
    common = {
        "telechat_container_name": "",
        "telechat_runtime_path": "",
        "telechat_python": "",
        "telechat_job_root": str(folder / "root"),
        "telechat_device_target": "CPU",
    }
    path = folder / "hosts.yml"
    path.write_text(json.dumps({"ascend": {"hosts": {"here": host}, "vars": {**common, **variables}}}))
    return path
