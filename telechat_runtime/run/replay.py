# SPDX-License-Identifier: Apache-2.0
"""Prepares a job that has been run before: the same plan under a new job id. Changes nothing."""

from __future__ import annotations

from typing import Any, List, Mapping, Optional

from telechat_runtime.cluster.topology import Cluster, Node
from telechat_runtime.errors import SpecError
from telechat_runtime.interrupt import Interrupt
from telechat_runtime.job.identity import new_job_id, whoami
from telechat_runtime.job.paths import JobPaths
from telechat_runtime.plan.plan import JobPlan, NodePlan, job_peers, node_identity
from telechat_runtime.remote.answers.record import StartedWith
from telechat_runtime.remote.client import NodeClient
from telechat_runtime.run.preflight import Preflight
from telechat_runtime.run.record import JobRecord, changed_inputs, make_record, record_answers

_MASTER_PORT = "--master_port="


def plan_replay(
    job_id: str, job_name: str, cluster: Cluster, clients: Mapping[str, NodeClient], interrupt: Interrupt
) -> JobPlan:
    """Look at the nodes of a job and make its plan again.

    Raises SpecError when the cluster is another one by now, PreflightError when a node can't take the job.
    """
    answers = record_answers(job_id, clients, interrupt, replay=True, needs_all=True)
    record = make_record(job_id, answers)
    cluster = _same_cluster(record, cluster)
    first = record.first
    port: Optional[int] = first.master_port
    look = Preflight(cluster, clients, interrupt, needs_port=port is not None)
    probes = look.look([found.path for found in first.inputs.values()])
    new_id = new_job_id(job_name)
    if port is not None:
        port = probes[cluster.master.name].free_port
    moved = [node.name for node in cluster.nodes if probes[node.name].job_root != _start(record, node).job_root]
    if moved:
        raise SpecError(f"telechat_job_root of {', '.join(moved)} is another one than when {job_id} ran")
    options = _start(record, cluster.master).options
    return JobPlan(
        job_id=new_id,
        owner=whoami(),
        kind=first.kind,
        workers_per_node=first.local_worker_num,
        master_addr=first.master_addr,
        master_port=port,
        options=options,
        metric_rank=first.metric_rank,
        config_diff=first.config_diff,
        nodes=tuple(_node_plan(node, _start(record, node), job_id, new_id, port) for node in cluster.nodes),
        results=first.results,
        notes=tuple(changed_inputs(record)),
        device_target=cluster.device_target,
        peers=job_peers(cluster, probes, options) if port is not None else None,
        resumes=first.resumes,
        inputs=tuple((name, found.path) for name, found in first.inputs.items()),
    )


def _same_cluster(record: JobRecord, cluster: Cluster) -> Cluster:
    """Return the nodes of the job. Raises SpecError that names each difference."""
    problems: List[str] = []
    known = {node.name for node in cluster.nodes}
    wanted = {identity.name: vars(identity) for identity in record.first.nodes}
    gone = [name for name in wanted if name not in known]
    silent = [name for name in wanted if name in known and name not in record.nodes]
    problems += [f"{name} is not in the inventory any more, or not in --limit" for name in gone]
    problems += [f"{name} has no record of the job any more" for name in silent]
    problems += [
        f"{name} has a part of the job that its record does not name" for name in record.nodes if name not in wanted
    ]
    if not problems:
        cluster = cluster.reordered(list(wanted))
        for node in cluster.nodes:
            problems += _differences(wanted[node.name], node_identity(node))
        if cluster.device_target != record.first.device_target:
            problems.append(f"telechat_device_target was {record.first.device_target}, is {cluster.device_target}")
    if problems:
        raise SpecError(
            "\n".join([f"{record.job_id} can't be replayed: the cluster is not the one that it ran on", *problems]),
            next_step="start the job anew; `telechat-run show` has its options and its yaml",
        )
    return cluster


def _differences(then: Mapping[str, Any], now: Mapping[str, Any]) -> List[str]:
    return [
        f"{now['name']}: {name} was {then.get(name)!r}, is {now[name]!r}" for name in now if then.get(name) != now[name]
    ]


def _start(record: JobRecord, node: Node) -> StartedWith:
    start = record.nodes[node.name].start
    if start is None:
        raise SpecError(f"{node.name} has no plan.json of {record.job_id} any more: it can't be replayed")
    return start


def _node_plan(node: Node, start: StartedWith, old_id: str, new_id: str, port: Optional[int]) -> NodePlan:
    def renewed(text: str) -> str:
        return text.replace(old_id, new_id)

    argv = [f"{_MASTER_PORT}{port}" if word.startswith(_MASTER_PORT) else renewed(word) for word in start.argv]
    env = {name: value if value is None else renewed(value) for name, value in start.env.items()}
    return NodePlan(
        node=node,
        node_rank=start.node_rank,
        first_rank=start.first_rank,
        paths=JobPaths(start.job_root, new_id),
        argv=tuple(argv),
        env=tuple(env.items()),
        path=start.path,
        files=tuple((name, renewed(text)) for name, text in start.files.items()),
        output=start.output,
        links=tuple(start.links.items()),
    )
