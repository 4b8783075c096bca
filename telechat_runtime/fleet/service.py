# SPDX-License-Identifier: Apache-2.0
"""Which nodes are in service, asked of each server itself; and taking nodes out and in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Dict, Mapping, Optional, Sequence

from telechat_runtime.ascend.service_file import MAINTENANCE
from telechat_runtime.cluster.topology import Cluster
from telechat_runtime.errors import SpecError, TelechatError
from telechat_runtime.fanout import gather
from telechat_runtime.interrupt import Interrupt
from telechat_runtime.remote.answers.probe import OutOfService, UpgradeState
from telechat_runtime.remote.client import NodeClient

_IN_SERVICE = "in service"


@dataclass(frozen=True)
class NodeService:
    """What one server says of itself; `service` is why it is out of service, `upgrade` what an upgrade left there."""

    service: Optional[OutOfService] = None
    upgrade: Optional[UpgradeState] = None
    error: Optional[TelechatError] = None

    @property
    def is_in(self) -> bool:
        """Tell whether the node takes jobs; one that does not answer takes none."""
        return self.service is None and self.error is None

    def as_text(self) -> str:
        """Write it in one line."""
        if self.error is not None:
            return f"unknown: {self.error.detail}"
        if self.service is None:
            return _IN_SERVICE
        upgrade = f", {self.upgrade.state}" if self.upgrade and self.service.kind == "upgrade" else ""
        return f"out: {self.service.reason}{upgrade} ({self.service.by}, since {self.service.since})"

    def as_dict(self) -> Dict[str, Any]:
        """Return it as data."""
        return {
            "in_service": self.is_in,
            "service": vars(self.service) if self.service else None,
            "upgrade": dict(self.upgrade.document) if self.upgrade else None,
            "error": str(self.error) if self.error else None,
        }


def look_at_service(clients: Mapping[str, NodeClient], interrupt: Interrupt) -> Dict[str, NodeService]:
    """Ask all servers; one that can't answer is part of the result."""
    return _on_all(list(clients), clients, interrupt, None)


def set_service(
    names: Sequence[str],
    cluster: Cluster,
    clients: Mapping[str, NodeClient],
    interrupt: Interrupt,
    *,
    out: bool,
    reason: str,
    by: str,
) -> Dict[str, NodeService]:
    """Take nodes out of service for maintenance, or put them in again. Raises SpecError for a node that is not there.

    A node that an upgrade has taken out is for that upgrade to put in.
    """
    known = [node.name for node in cluster.nodes]
    unknown = [name for name in names if name not in known]
    if unknown:
        raise SpecError(f"no such node: {', '.join(unknown)}", next_step=f"the cluster has {', '.join(known)}")
    wish = {"out": out, "kind": MAINTENANCE, "reason": reason, "by": by}
    return _on_all(names, clients, interrupt, wish)


def _on_all(
    names: Sequence[str], clients: Mapping[str, NodeClient], interrupt: Interrupt, wish: Optional[Mapping[str, Any]]
) -> Dict[str, NodeService]:
    def ask(name: str) -> NodeService:
        answer = clients[name].service(wish)
        return NodeService(service=answer.service, upgrade=answer.upgrade)

    found, errors = gather(names, ask, doing="asking the nodes", interrupt=interrupt, finish=wish is not None)
    return {name: found[name] if name in found else NodeService(error=errors[name]) for name in names}
