# SPDX-License-Identifier: Apache-2.0
"""How the supervisors of a job's nodes hear each other, as a part of its plan (node/peers.py does it)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Mapping, Optional

from telechat_runtime.probe import NodeProbe
from telechat_runtime.spec import JobOptions
from telechat_runtime.topology import Cluster


@dataclass(frozen=True)
class Peers:
    """Where rank 0's supervisor hears those of the other nodes.

    `join_seconds` is how long it waits for them to join, `silence_seconds` how long a node may give no sign of life.
    """

    addr: str
    port: int
    join_seconds: int
    silence_seconds: int


def job_peers(cluster: Cluster, probes: Mapping[str, NodeProbe], options: JobOptions) -> Optional[Peers]:
    """Return how the nodes of one msrun cluster hear each other; a single one has nobody to hear."""
    port = probes[cluster.master.name].peers_port
    if len(cluster.nodes) == 1 or port is None:
        return None
    return Peers(
        addr=cluster.master.addr,
        port=port,
        join_seconds=options.cluster_timeout,
        silence_seconds=options.heartbeat_timeout,
    )
