# SPDX-License-Identifier: Apache-2.0
"""What the preparation of every kind of job has in common: looking at the nodes, a yaml to start from, a job id."""

from __future__ import annotations

from typing import Dict, Mapping, Optional, Sequence

from telechat_runtime.cluster.contract import ON_NPU
from telechat_runtime.cluster.topology import Cluster
from telechat_runtime.fanout import call_on_all
from telechat_runtime.interrupt import Interrupt
from telechat_runtime.plan.data_facts import DataQuestion
from telechat_runtime.plan.node_facts import NodeProbe, check_probes, node_facts, probe_request
from telechat_runtime.remote.client import NodeClient


class Preflight:
    """Looks at all nodes of a cluster; `needs_port` when the job has an msrun scheduler.

    `npus` is how many NPUs the job takes of each node; they have to be healthy. `out_of_service` allows nodes that are.
    """

    def __init__(
        self,
        cluster: Cluster,
        clients: Mapping[str, NodeClient],
        interrupt: Interrupt,
        *,
        needs_port: bool,
        npus: int = 0,
        out_of_service: bool = False,
    ) -> None:
        self._cluster = cluster
        self._clients = clients
        self._interrupt = interrupt
        self._needs_port = needs_port
        self._npus = npus if cluster.device_target == ON_NPU else 0
        self._out_of_service = out_of_service

    def look(
        self, paths: Sequence[str], read: Sequence[str] = (), *, data: Optional[DataQuestion] = None
    ) -> Dict[str, NodeProbe]:
        """Probe all nodes at once: `paths` must be on each, `read` is read from rank 0's, `data` is looked into.

        Raises PreflightError, which names every problem of every node, or UnreachableError.
        """
        names = [node.name for node in self._cluster.nodes]

        def probe(name: str) -> NodeProbe:
            client = self._clients[name]
            is_master = name == self._cluster.master.name
            port = self._cluster.master_port if is_master and self._needs_port else None
            asked = read if is_master else ()
            chips = bool(self._npus)
            request = probe_request(client.node, paths=paths, port=port, read=asked, data=data, chips=chips)
            return node_facts(client.probe(request))

        probes = call_on_all(names, probe, doing="looking at the nodes", interrupt=self._interrupt)
        check_probes(
            self._cluster,
            probes,
            needs_port=self._needs_port,
            npus=self._npus,
            out_of_service=self._out_of_service,
        )
        return probes
