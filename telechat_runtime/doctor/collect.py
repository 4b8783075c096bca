# SPDX-License-Identifier: Apache-2.0
"""Looks at all nodes for doctor: first each at itself, on the server and where jobs run; then at each other.

Changes nothing, but for a marker file in each shared path, which is removed again.
"""

from __future__ import annotations

import contextlib
import dataclasses
import secrets
import time
from typing import Any, Dict, Mapping, Optional, Tuple

from telechat_runtime.cluster.topology import Cluster, Node
from telechat_runtime.doctor.checks_fleet import clock_offset
from telechat_runtime.doctor.checks_network import addresses, peers_of
from telechat_runtime.doctor.facts import NOT_EXAMINED, VERIFIED, ClockOffset, NodeFacts, Ping
from telechat_runtime.errors import NodeRuntimeError, PreflightError, ProtocolError, TelechatError, UnreachableError
from telechat_runtime.fanout import call_on_all
from telechat_runtime.interrupt import Interrupt
from telechat_runtime.local_folders import cache_folder
from telechat_runtime.remote.answers.examine import ExamineAnswer
from telechat_runtime.remote.client import NodeClient
from telechat_runtime.zipapp import build

# Of the server itself; the rest only makes sense where jobs run.
_SERVER_SECTIONS = ("versions", "chips", "kernels", "hccn", "container", "service")
_JOB_SECTIONS = ("versions", "probe", "jobs", "devices", "leftovers")
_SHARED = "shared_folders"


def look_at_nodes(cluster: Cluster, clients: Mapping[str, NodeClient], interrupt: Interrupt) -> Dict[str, NodeFacts]:
    """Ask all nodes twice, the second time with what the others have said; a node without an answer is no error."""
    sha256 = _runtime_sha256(cluster)
    look = _Look(cluster, clients, sha256)
    names = [node.name for node in cluster.nodes]
    try:
        facts = call_on_all(names, look.at_itself, doing="examining the nodes", interrupt=interrupt)
        if len(names) == 1:
            return facts
        orders = ping_orders(cluster, facts)
        return call_on_all(
            names,
            lambda name: look.at_others(facts[name], orders[name]),
            doing="letting the nodes look at each other",
            interrupt=interrupt,
        )
    finally:
        look.remove_marker()


def ping_orders(cluster: Cluster, facts: Mapping[str, NodeFacts]) -> Dict[str, Dict[Tuple[int, str], Tuple[str, int]]]:
    """Return for each node which NPU pings which address, and whose NPU that is.

    Every NPU with an address pings all NPUs of the nodes that `peers_of` names.
    """
    known = {name: addresses(found.hccn) for name, found in facts.items()}
    names = [node.name for node in cluster.nodes]
    orders: Dict[str, Dict[Tuple[int, str], Tuple[str, int]]] = {}
    for rank, name in enumerate(names):
        peers = [names[peer] for peer in peers_of(rank, len(names))]
        orders[name] = {
            (device, address): (peer, peer_device)
            for peer in peers
            for peer_device, address in known[peer].items()
            for device in known[name]
        }
    return orders


class _Look:
    """One examination: what is asked of each node, and the marker that rank 0's node puts into the shared paths."""

    def __init__(self, cluster: Cluster, clients: Mapping[str, NodeClient], sha256: Optional[str]) -> None:
        self._cluster = cluster
        self._nodes = {node.name: node for node in cluster.nodes}
        self._clients = clients
        self._sha256 = sha256
        self._marker = f".telechat-doctor-{secrets.token_hex(6)}"
        self._marked = False

    def at_itself(self, name: str) -> NodeFacts:
        """Ask a node on the server and where its jobs run."""
        node, client = self._nodes[name], self._clients[name]
        server = NOT_EXAMINED
        server_error: Optional[TelechatError] = None
        if node.container:
            try:
                server = client.examine_server({**self._request(node), "sections": _SERVER_SECTIONS})
            except TelechatError as error:
                server_error = error
        facts = NodeFacts(
            cluster=self._cluster,
            node=node,
            runtime_sha256=self._sha256 if node.runtime_path else None,
            inside=NOT_EXAMINED,
            server=server,
            inside_error=server_error,
            server_error=server_error,
        )
        if isinstance(server_error, UnreachableError) and not isinstance(server_error, NodeRuntimeError):
            return facts  # who can't be reached is not asked twice
        return self._inside(dataclasses.replace(facts, inside_error=None), node, client)

    def _inside(self, facts: NodeFacts, node: Node, client: NodeClient) -> NodeFacts:
        # Whatever the server did not tell is asked where jobs run; without a container that is all of it.
        sections = (
            _JOB_SECTIONS if facts.server != NOT_EXAMINED else tuple(dict.fromkeys((*_JOB_SECTIONS, *_SERVER_SECTIONS)))
        )
        request: Dict[str, Any] = {**self._request(node), "sections": sections}
        if node == self._cluster.master and self._cluster.shared_paths:
            self._marked = True
            request.update(self._shared("put"), sections=(*sections, _SHARED))
        sent = time.time()
        try:
            inside = client.examine(request)
        except TelechatError as error:
            return dataclasses.replace(facts, inside_error=error)
        return dataclasses.replace(
            facts,
            inside=inside,
            server=facts.server if node.container else inside,
            clock=_clock(inside, sent, time.time()),
            shared=inside.shared_folders or {},
        )

    def at_others(self, facts: NodeFacts, order: Mapping[Tuple[int, str], Tuple[str, int]]) -> NodeFacts:
        """Let a node's NPUs ping those of other nodes, and the node look for rank 0's marker."""
        client = self._clients[facts.node.name]
        if facts.hccn is not None:
            facts = _pinged(facts, client, order)
        shares = self._cluster.shared_paths and facts.node != self._cluster.master and not facts.inside_error
        if shares:
            request = {"job_root": facts.node.job_root, "sections": [_SHARED], **self._shared("find")}
            try:
                facts = dataclasses.replace(facts, shared=client.examine(request).shared_folders or {})
            except TelechatError as error:
                facts = _unseen(facts, error)
        return facts

    def remove_marker(self) -> None:
        """Take the marker away again; one that stays is taken away by the next examination."""
        if self._marked:
            master = self._cluster.master
            request = {"job_root": master.job_root, "sections": [_SHARED], **self._shared("remove")}
            with contextlib.suppress(TelechatError):
                self._clients[master.name].examine(request)

    def _request(self, node: Node) -> Dict[str, Any]:
        return {
            "job_root": node.job_root,
            "tree": node.tree or None,
            "env_script": node.env_script or None,
            "read": [f"{node.job_root}/{VERIFIED}"],
            "container": node.container or None,
            "port": self._cluster.master_port if node == self._cluster.master else None,
        }

    def _shared(self, action: str) -> Dict[str, Any]:
        return {_SHARED: {"action": action, "marker": self._marker, "paths": list(self._cluster.shared_paths)}}


def _unseen(facts: NodeFacts, error: TelechatError) -> NodeFacts:
    """Return the facts without what a node failed to answer: the checks say that it was not seen."""
    return dataclasses.replace(facts, fault=error) if isinstance(error, ProtocolError) else facts


def _pinged(facts: NodeFacts, client: NodeClient, order: Mapping[Tuple[int, str], Tuple[str, int]]) -> NodeFacts:
    """Return the facts with the node's pings, if it gives an answer."""
    if not order:
        return dataclasses.replace(facts, pings=())
    request = {"job_root": facts.node.job_root, "sections": ["pings"], "pings": [list(pair) for pair in order]}
    from_server = facts.node.container and facts.server.hccn is not None
    try:
        answer = client.examine_server(request) if from_server else client.examine(request)
    except TelechatError as error:
        return _unseen(facts, error)
    results = answer.pings.results if answer.pings else ()
    # A result that was not asked for has no peer.
    pings = tuple(
        Ping(result.device, *order[result.device, result.address], result.answered)
        for result in results
        if (result.device, result.address) in order
    )
    return dataclasses.replace(facts, pings=pings)


def _clock(answer: ExamineAnswer, sent: float, received: float) -> Optional[ClockOffset]:
    times = answer.clock
    return clock_offset(sent=sent, received=received, began=times.began, ended=times.ended) if times else None


def _runtime_sha256(cluster: Cluster) -> Optional[str]:
    if not any(node.runtime_path for node in cluster.nodes):
        return None
    try:
        _, sha256 = build(cache_folder() / "runtime")
    except OSError as error:
        next_step = "set TELECHAT_CACHE to a folder that you may write"
        raise PreflightError(f"the node runtime can't be packed: {error}", next_step=next_step) from error
    return sha256
