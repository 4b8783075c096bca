# SPDX-License-Identifier: Apache-2.0
"""Examines every node and judges what was found; a node that gives no answer is a finding, not the end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Dict, Iterator, List, Mapping, NamedTuple, Optional, Tuple

from telechat_runtime.cache import cache_folder
from telechat_runtime.doctor_checks import CHECKS, VERIFIED, Finding, NodeFacts, Status, check_node
from telechat_runtime.errors import PreflightError, ProtocolError, TelechatError, UnreachableError
from telechat_runtime.executor import call_on_all
from telechat_runtime.interrupt import Interrupt
from telechat_runtime.node_client import NodeClient
from telechat_runtime.node_zipapp import build
from telechat_runtime.topology import Cluster, Node

# Of the server itself; the rest only makes sense where jobs run.
_SERVER_SECTIONS = ("versions", "chips", "kernels")
_JOB_SECTIONS = ("versions", "probe", "jobs")


class Group(NamedTuple):
    """Nodes that a check says the same of."""

    check: str
    finding: Finding
    nodes: Tuple[str, ...]


@dataclass(frozen=True)
class Examination:
    """Every check's finding by node and check, in the order of the cluster and of the table."""

    findings: Mapping[str, Mapping[str, Finding]]

    def groups(self) -> Iterator[Group]:
        """Yield the findings check by check, the worst first, with all nodes that share one."""
        for check in CHECKS:
            nodes: Dict[Finding, List[str]] = {}
            for node, found in self.findings.items():
                nodes.setdefault(found[check.name], []).append(node)
            for finding in sorted(nodes, key=lambda finding: -_severity(finding.status)):
                yield Group(check.name, finding, tuple(nodes[finding]))

    @property
    def worst(self) -> Status:
        """The worst status of all."""
        statuses = (finding.status for found in self.findings.values() for finding in found.values())
        return max(statuses, key=_severity, default=Status.OK)

    def as_dict(self) -> Dict[str, Any]:
        """Return the examination as data."""
        return {
            "status": str(self.worst),
            "nodes": {
                node: {
                    name: {"status": str(finding.status), "detail": finding.detail, "next_step": finding.next_step}
                    for name, finding in found.items()
                }
                for node, found in self.findings.items()
            },
        }


def examine(cluster: Cluster, clients: Mapping[str, NodeClient], interrupt: Interrupt) -> Examination:
    """Ask all nodes, and judge what they answered."""
    sha256 = _runtime_sha256(cluster)
    nodes = {node.name: node for node in cluster.nodes}
    facts = call_on_all(
        list(nodes),
        lambda name: _facts(cluster, nodes[name], clients[name], sha256),
        doing="examining the nodes",
        interrupt=interrupt,
    )
    return Examination(findings={name: check_node(found) for name, found in facts.items()})


def _runtime_sha256(cluster: Cluster) -> Optional[str]:
    if not any(node.runtime_path for node in cluster.nodes):
        return None
    try:
        _, sha256 = build(cache_folder() / "runtime")
    except OSError as error:
        next_step = "set TELECHAT_CACHE to a folder that you may write"
        raise PreflightError(f"the node runtime can't be packed: {error}", next_step=next_step) from error
    return sha256


def _facts(cluster: Cluster, node: Node, client: NodeClient, sha256: Optional[str]) -> NodeFacts:
    server: Dict[str, Any] = {}
    inside: Dict[str, Any] = {}
    server_error: Optional[TelechatError] = None
    inside_error: Optional[TelechatError] = None
    request = {
        "job_root": node.job_root,
        "tree": node.tree or None,
        "env_script": node.env_script or None,
        "read": [f"{node.job_root}/{VERIFIED}"],
    }
    if node.container:
        try:
            server = client.examine_server({**request, "sections": _SERVER_SECTIONS})
        except TelechatError as error:
            server_error = error
    if isinstance(server_error, UnreachableError) and not isinstance(server_error, ProtocolError):
        inside_error = server_error  # who can't be reached is not asked twice
    else:
        # Whatever the server did not tell is asked where jobs run; without a container that is all of it.
        sections = _JOB_SECTIONS if server else tuple(dict.fromkeys((*_JOB_SECTIONS, *_SERVER_SECTIONS)))
        try:
            inside = client.examine({**request, "sections": sections})
        except TelechatError as error:
            inside_error = error
    return NodeFacts(
        cluster=cluster,
        node=node,
        runtime_sha256=sha256 if node.runtime_path else None,
        inside=inside,
        server=server if node.container else inside,
        inside_error=inside_error,
        server_error=server_error,
    )


def _severity(status: Status) -> int:
    return list(Status).index(status)
