# SPDX-License-Identifier: Apache-2.0
"""What is asked of a node before a job, what it answers, and what forbids the job."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

from telechat_runtime.cluster.argv import job_python
from telechat_runtime.cluster.topology import Cluster, Node
from telechat_runtime.errors import PreflightError
from telechat_runtime.plan.data_facts import NO_DATA, DataLook, DataQuestion, data_facts
from telechat_runtime.remote.answers.probe import Chips, Lease, ProbeAnswer

# A job folder holds logs, and by default the checkpoints: with less than this not even the logs are safe.
MIN_FREE_BYTES = 1 << 30
_HEALTHY = "OK"
_MEND = "nothing was started; mend this and run it again, or leave nodes out: --exclude NAME, --nodes NUMBER"


@dataclass(frozen=True)
class NodeProbe:
    """A node's answer to `node probe`: `free_port` is for msrun's scheduler, `peers_port` for the supervisors.

    `service` says why the node is out of service, if it is.
    """

    job_root: str
    hostname: str
    resolves: bool
    lease: Optional[Lease]
    paths: Tuple[Tuple[str, Optional[str]], ...]
    free_port: Optional[int]
    peers_port: Optional[int]
    tree_has_entry: bool
    read: Tuple[Tuple[str, Optional[str]], ...]
    python: Optional[str]
    free_bytes: int
    service: str = ""
    data: DataLook = NO_DATA
    chips: Optional[Chips] = None


def probe_request(
    node: Node,
    *,
    paths: Sequence[str],
    port: Optional[int],
    read: Sequence[str],
    data: Optional[DataQuestion] = None,
    chips: bool = False,
) -> Dict[str, Any]:
    """Return the document that `node probe` reads."""
    return {
        "job_root": node.job_root,
        "python": job_python(node),
        "tree": node.tree or None,
        "paths": list(paths),
        "port": port,
        "read": list(read),
        "chips": chips,
        **(data.as_request() if data else {}),
    }


def node_facts(answer: ProbeAnswer) -> NodeProbe:
    """Return what a plan takes of a node's answer."""
    return NodeProbe(
        job_root=answer.job_root,
        hostname=answer.hostname,
        resolves=answer.resolves,
        lease=answer.lease,
        paths=tuple(answer.paths.items()),
        free_port=answer.port.free if answer.port else None,
        peers_port=answer.port.peers if answer.port else None,
        tree_has_entry=bool(answer.tree and answer.tree.run_mindformer),
        read=tuple(answer.read.items()),
        python=answer.python.path if answer.python else None,
        free_bytes=answer.free_bytes,
        data=data_facts(answer),
        chips=answer.chips,
        service=answer.service.as_text() if answer.service else "",
    )


def check_probes(
    cluster: Cluster,
    probes: Mapping[str, NodeProbe],
    *,
    needs_port: bool,
    npus: int = 0,
    out_of_service: bool = False,
) -> None:
    """Raise PreflightError that names every problem of every node; `npus` of each are used.

    With `out_of_service` that is none: the job is to try a node that others do not get.
    """
    problems = [
        f"{node.name}: {problem}"
        for node in cluster.nodes
        for problem in [
            *unfit(probes[node.name], npus, out_of_service=out_of_service),
            *_problems(cluster, node, probes[node.name], needs_port=needs_port),
        ]
    ]
    if problems:
        raise PreflightError("\n".join(problems), next_step=_MEND)


def unfit(probe: NodeProbe, npus: int, *, out_of_service: bool = False) -> List[str]:
    """Return why a node takes no job now, whatever the job.

    It is out of service (unless `out_of_service` allows that), busy, or of the `npus` wanted one is not healthy.
    """
    problems = _chip_problems(probe.chips, npus) if probe.chips else []
    if probe.service and not out_of_service:
        problems.insert(0, f"out of service: {probe.service}")
    if probe.lease:
        lease = probe.lease
        problems.insert(0, f"busy: {lease.owner} runs job {lease.job_id} on it since {lease.since}")
    return problems


def _chip_problems(chips: Chips, npus: int) -> List[str]:
    """Return what forbids a job on the first `npus` of a node."""
    if chips.error:
        return [f"the NPUs can't be seen: {chips.error}"]
    found = [f"NPU {chip.npu_id} is in {chip.health}" for chip in chips.chips[:npus] if chip.health != _HEALTHY]
    if len(chips.chips) < npus:
        found.append(f"{len(chips.chips)} NPUs answer, the job takes {npus}")
    return found


def _problems(cluster: Cluster, node: Node, probe: NodeProbe, *, needs_port: bool) -> List[str]:
    problems: List[str] = []
    problems += [f"{path} does not exist" for path, kind in probe.paths if kind is None]
    if probe.python is None:
        problems.append(f"no interpreter {job_python(node)!r} (telechat_python)")
    if node.tree and not probe.tree_has_entry:
        problems.append(f"{node.tree} (telechat_tree) has no run_mindformer.py")
    if probe.free_bytes < MIN_FREE_BYTES:
        problems.append(f"only {probe.free_bytes >> 20} MiB free in {probe.job_root}; a job needs at least 1024")
    if len(cluster.nodes) > 1 and not probe.resolves:
        problems.append(f"its own host name {probe.hostname!r} does not resolve; add it to /etc/hosts")
    if needs_port and node is cluster.master and None in (probe.free_port, probe.peers_port):
        problems.append(f"port {cluster.master_port} (telechat_master_port) and the ports after it are taken")
    return problems
