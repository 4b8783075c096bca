# SPDX-License-Identifier: Apache-2.0
"""Examines every node and judges what was found; a node that gives no answer is a finding, not the end."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any, Collection, Dict, Iterator, List, Mapping, NamedTuple, Tuple

from telechat_runtime.cluster.topology import Cluster
from telechat_runtime.doctor.checks import CHECKS, check_node
from telechat_runtime.doctor.checks_fleet import middle_clock
from telechat_runtime.doctor.checks_network import tls_switches
from telechat_runtime.doctor.collect import look_at_nodes
from telechat_runtime.doctor.facts import Agreed, Finding, NodeFacts, Status, most_common
from telechat_runtime.errors import ProtocolError
from telechat_runtime.interrupt import Interrupt
from telechat_runtime.remote.client import NodeClient


class Group(NamedTuple):
    """Nodes that a check says the same of."""

    check: str
    finding: Finding
    nodes: Tuple[str, ...]


@dataclass(frozen=True)
class Examination:
    """Every check's finding by node and check, in the order of the cluster and of the table.

    `faults` has the nodes whose runtime and this telechat-run do not understand each other.
    """

    findings: Mapping[str, Mapping[str, Finding]]
    faults: Mapping[str, ProtocolError] = field(default_factory=dict)

    def groups(self) -> Iterator[Group]:
        """Yield the findings check by check, the worst first, with all nodes that share one."""
        for check in CHECKS:
            nodes: Dict[Finding, List[str]] = {}
            for node, found in self.findings.items():
                if check.name in found:
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
    """Ask all nodes, let them look at each other, and judge what they answered."""
    facts = look_at_nodes(cluster, clients, interrupt)
    agreed = _agreed(facts.values())
    judged = {name: check_node(dataclasses.replace(found, agreed=agreed)) for name, found in facts.items()}
    faults = {name: found.protocol_fault for name, found in facts.items() if found.protocol_fault}
    return Examination(findings=judged, faults=faults)


def _agreed(facts: Collection[NodeFacts]) -> Agreed:
    containers = [found.server.container for found in facts if found.server.container]
    return Agreed(
        tls=most_common(switch for found in facts for switch in tls_switches(found.hccn)),
        image_id=most_common(container.image_id for container in containers),
        clock=middle_clock([found.clock for found in facts if found.clock]),
    )


def _severity(status: Status) -> int:
    return list(Status).index(status)
