# SPDX-License-Identifier: Apache-2.0
"""Opens a client for every node of a cluster, with the transport that its inventory entry asks for."""

from __future__ import annotations

import contextlib
from typing import Dict, Iterator

from telechat_runtime import wire_log
from telechat_runtime.cluster.topology import Cluster, Node
from telechat_runtime.remote.client import NodeClient
from telechat_runtime.remote.local import LocalTransport
from telechat_runtime.remote.logged import LoggedTransport
from telechat_runtime.remote.transport import Transport


@contextlib.contextmanager
def open_fleet(cluster: Cluster) -> Iterator[Dict[str, NodeClient]]:
    """Yield a client for each node by name, each connected when it is first used, and let go of all in the end."""
    with contextlib.ExitStack() as stack:
        clients = {node.name: NodeClient(node, _noted(node, LocalTransport(node.name))) for node in cluster.nodes}
        remote = [node for node in cluster.nodes if node.connection.kind == "ssh"]
        if remote:
            # Imported here: a job on this machine alone needs no paramiko.
            from telechat_runtime.remote.ssh import SshConnector, SshTransport  # noqa: PLC0415

            connector = SshConnector()
            stack.callback(connector.close)
            for node in remote:
                transport = SshTransport(node.name, node.connection, connector)
                clients[node.name] = NodeClient(node, _noted(node, transport))
        for client in clients.values():
            stack.callback(client.close)
        yield clients


def _noted(node: Node, transport: Transport) -> Transport:
    return LoggedTransport(node.name, transport) if wire_log.is_on() else transport
