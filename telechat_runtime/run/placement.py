# SPDX-License-Identifier: Apache-2.0
"""Chooses the nodes of a job among those that the user allows: free, reachable, their NPUs healthy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Dict, List, Mapping, Optional, Sequence, Tuple

from telechat_runtime.cluster.contract import ON_NPU
from telechat_runtime.cluster.topology import Cluster
from telechat_runtime.errors import PreflightError, ProtocolError, SpecError
from telechat_runtime.fanout import gather
from telechat_runtime.interrupt import Interrupt
from telechat_runtime.job.options import JobOptions
from telechat_runtime.plan.node_facts import node_facts, probe_request, unfit
from telechat_runtime.remote.client import NodeClient


@dataclass(frozen=True)
class Placement:
    """The nodes of a job, and a note for each that was left out, with the reason."""

    cluster: Cluster
    notes: Tuple[str, ...] = ()


def allowed(cluster: Cluster, options: JobOptions) -> Cluster:
    """Return the cluster without the nodes that the user excludes. Raises SpecError for a name it does not have."""
    names = [node.name for node in cluster.nodes]
    unknown = [name for name in options.exclude if name not in names]
    if unknown:
        raise SpecError(
            f"--exclude {', '.join(unknown)}: no such node in the cluster", next_step=f"it has {', '.join(names)}"
        )
    left = [name for name in names if name not in options.exclude]
    if not left:
        raise SpecError("--exclude leaves no node")
    if options.nodes is not None and options.nodes > len(left):
        raise SpecError(f"--nodes {options.nodes} is more than the {len(left)} nodes that the job may use")
    return cluster.limited_to(left) if len(left) < len(names) else cluster


def place(
    cluster: Cluster,
    options: JobOptions,
    clients: Mapping[str, NodeClient],
    interrupt: Interrupt,
    *,
    first: Sequence[str] = (),
) -> Placement:
    """Return the nodes that the job gets; with a number wished, that many fit ones, those of `first` before others.

    A node of `first` keeps its rank, and one that takes the place of an unfit one gets the rank of that. Without a
    number no node is asked: all take part, and the plan is refused when one is not fit. Raises PreflightError when too
    few are fit, ProtocolError when one of the others does not fit for its runtime.
    """
    cluster = allowed(cluster, options)
    if options.nodes is None:
        return Placement(cluster)
    why, faults = _unfit_nodes(cluster, clients, interrupt, options)
    names = [node.name for node in cluster.nodes]
    fit = [name for name in names if name not in why]
    left_out = [f"left out: {name}: {reason}" for name, reason in why.items()]
    if len(fit) < options.nodes:
        message = "\n".join([f"--nodes {options.nodes}: {len(fit)} nodes are fit for the job", *left_out])
        if faults:
            raise ProtocolError(message, next_step=faults[0].next_step)
        raise PreflightError(message, next_step="ask for fewer, or fix these; nothing was started")
    return Placement(cluster.reordered(_chosen(fit, list(first)[: options.nodes], options.nodes)), tuple(left_out))


def _chosen(fit: Sequence[str], first: Sequence[str], count: int) -> List[str]:
    """Return names by rank: a fit node keeps the rank that it has in `first`, others take the ranks left over."""
    ranks: List[Optional[str]] = [name if name in fit else None for name in first]
    ranks += [None] * (count - len(ranks))
    spare = [name for name in fit if name not in ranks]
    return [name if name is not None else spare.pop(0) for name in ranks]


def _unfit_nodes(
    cluster: Cluster, clients: Mapping[str, NodeClient], interrupt: Interrupt, options: JobOptions
) -> Tuple[Dict[str, str], List[ProtocolError]]:
    """Return why nodes can't take the job, by name, and the faults between their runtimes and this telechat-run."""
    nodes = {node.name: node for node in cluster.nodes}
    chips = cluster.device_target == ON_NPU

    def ask(name: str) -> List[str]:
        request = probe_request(nodes[name], paths=(), port=None, read=(), chips=chips)
        answer = node_facts(clients[name].probe(request))
        return unfit(answer, options.npus_per_node or nodes[name].npu_count, out_of_service=options.out_of_service)

    answers, errors = gather(list(nodes), ask, doing="choosing nodes", interrupt=interrupt)
    found = {name: "; ".join(problems) for name, problems in answers.items() if problems}
    found.update({name: error.detail for name, error in errors.items()})
    faults = [error for error in errors.values() if isinstance(error, ProtocolError)]
    return {name: found[name] for name in nodes if name in found}, faults
