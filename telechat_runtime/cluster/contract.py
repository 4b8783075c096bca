# SPDX-License-Identifier: Apache-2.0
"""What the inventory's variables are where it does not set them.

inventory/README.md has the same table for readers, and roles and playbooks repeat a default where they need a variable
of the contract; tests/contract/test_inventory_defaults.py compares both with this one.
"""

from __future__ import annotations

from typing import Any, Mapping

DEFAULT_GROUP = "ascend"
DEFAULT_MASTER_PORT = 8118
ON_NPU = "Ascend"
ON_CPU = "CPU"

DEFAULTS: Mapping[str, Any] = {
    "telechat_master_port": DEFAULT_MASTER_PORT,
    "telechat_container_name": "telechat",
    "telechat_python": "python3",
    "telechat_runtime_path": "/opt/telechat/telechat-run.pyz",
    "telechat_job_root": "/var/lib/telechat",
    "telechat_tree": "",
    "telechat_env_script": "",
    "telechat_env": {},
    "telechat_shared_paths": [],
    "telechat_device_target": ON_NPU,
}
