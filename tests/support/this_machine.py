# SPDX-License-Identifier: Apache-2.0
"""This machine alone as an inventory: jobs on CPU, without SSH and without a container."""

from __future__ import annotations

import itertools
import json
import os
import socket
from pathlib import Path
from typing import Any

# Below what the kernel gives to outgoing connections. Each process of pytest-xdist has its own.
_FIRST_PORT = 20000
_PORTS_OF_A_PROCESS = 500
# A job looks for its ports from the one it is given on.
_PORTS_OF_A_JOB = 10
_ports = itertools.count(
    _FIRST_PORT + _PORTS_OF_A_PROCESS * int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")),
    _PORTS_OF_A_JOB,
)


def free_port() -> int:
    """Return a port that is free, and that nobody else of the tests will be given."""
    return next(filter(_is_free, _ports))


def _is_free(port: int) -> bool:
    with socket.socket() as listener:
        try:
            listener.bind(("", port))
        except OSError:
            return False
    return True


def write_inventory(folder: Path, *, npus: int = 1, **variables: Any) -> Path:
    """Write hosts.yml into a folder, jobs go to its `root`; `variables` come on top of the group's own."""
    host = {"ansible_connection": "local", "ascend_node_addr": "127.0.0.1", "ascend_npu_count": npus}
    common = {
        "telechat_container_name": "",
        "telechat_runtime_path": "",
        "telechat_python": "",
        "telechat_job_root": str(folder / "root"),
        "telechat_device_target": "CPU",
        "telechat_master_port": free_port(),
    }
    path = folder / "hosts.yml"
    path.write_text(json.dumps({"ascend": {"hosts": {"here": host}, "vars": {**common, **variables}}}))
    return path
