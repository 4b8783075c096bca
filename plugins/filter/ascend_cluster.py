# SPDX-License-Identifier: Apache-2.0
"""The inventory as a cluster, read as telechat-run reads it: variables untemplated (inventory/README.md)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from telechat_runtime.cluster.topology import cluster_from_hostvars
from telechat_runtime.errors import InventoryError


def ascend_cluster(hosts: Sequence[str], hostvars: Any, group: str) -> dict[str, Any]:
    """Return the cluster, or what breaks the inventory's contract: {"cluster": …, "problems": [...]}."""
    variables = {host: hostvars.raw_get(host) for host in hosts}
    try:
        return {"cluster": cluster_from_hostvars(group, hosts, variables).as_dict(), "problems": []}
    except InventoryError as error:
        return {"cluster": None, "problems": list(error.problems)}


class FilterModule:
    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"ascend_cluster": ascend_cluster}
