# SPDX-License-Identifier: Apache-2.0
"""A job as a value: for every node its folder, files, environment and exact argv.

`--dry-run` prints a plan and `launch` takes nothing else, so what is shown is what runs.
"""

from __future__ import annotations

import posixpath
from dataclasses import dataclass
from typing import Any, Dict, List, Mapping, Optional, Tuple

from telechat_runtime import __version__
from telechat_runtime.cluster.argv import job_python, node_argv
from telechat_runtime.cluster.topology import Cluster, Node
from telechat_runtime.job import schemas
from telechat_runtime.job.options import JobOptions
from telechat_runtime.job.paths import JobPaths
from telechat_runtime.job.training_log import metric_rank
from telechat_runtime.plan.msrun import check_master_addr, msrun_argv, python_name, worker_env
from telechat_runtime.plan.node_facts import NodeProbe
from telechat_runtime.plan.program import Processes, Program
from telechat_runtime.redaction import command_text, masked, shell_text

_MSRUN_LOG = "msrun.log"


@dataclass(frozen=True)
class PeerSettings:
    """Where rank 0's supervisor hears those of the other nodes.

    `join_seconds` is how long it waits for them to join, `silence_seconds` how long a node may give no sign of life.
    """

    addr: str
    port: int
    join_seconds: int
    silence_seconds: int


@dataclass(frozen=True)
class NodePlan:
    """The part of one node; `path` goes before PATH, a None in `env` unsets a variable.

    `links` are made in the job's work folder: name, and the file it points to.
    """

    node: Node
    node_rank: int
    first_rank: int
    paths: JobPaths
    argv: Tuple[str, ...]
    env: Tuple[Tuple[str, Optional[str]], ...]
    path: Tuple[str, ...]
    files: Tuple[Tuple[str, str], ...]
    output: str
    links: Tuple[Tuple[str, str], ...] = ()


@dataclass(frozen=True)
class JobPlan:
    """The whole job; `metric_rank` is the worker whose loss counts, `results` and `notes` as its Program has them.

    `resumes` is the job whose training it goes on with, `restarts` how often that was after a failure, by itself.
    """

    job_id: str
    owner: str
    kind: str
    workers_per_node: int
    master_addr: str
    master_port: Optional[int]
    options: JobOptions
    metric_rank: int
    config_diff: str
    nodes: Tuple[NodePlan, ...]
    results: Tuple[str, ...] = ()
    notes: Tuple[str, ...] = ()
    inputs: Tuple[Tuple[str, str], ...] = ()
    device_target: str = ""
    peers: Optional[PeerSettings] = None
    resumes: str = ""
    restarts: int = 0

    @property
    def world_size(self) -> int:
        """Number of workers of the job."""
        return self.workers_per_node * len(self.nodes)

    @property
    def ends_by_itself(self) -> bool:
        """Tell whether the nodes end the job among themselves when one of them fails, control side or not."""
        return self.peers is not None or len(self.nodes) == 1

    def start_request(self, node: NodePlan) -> Dict[str, Any]:
        """Return the document that `node start` reads."""
        return {
            "job_id": self.job_id,
            "owner": self.owner,
            "kind": self.kind,
            "node_rank": node.node_rank,
            "node_count": len(self.nodes),
            "first_rank": node.first_rank,
            "local_worker_num": self.workers_per_node,
            "job_root": node.paths.job_root,
            "argv": list(node.argv),
            "env": dict(node.env),
            "path": list(node.path),
            "env_script": node.node.env_script or None,
            "files": dict(node.files),
            "links": dict(node.links),
            "output": node.output,
            "grace_seconds": self.options.grace_seconds,
            "options": self.options.as_dict(),
            "peers": {**vars(self.peers), "names": [part.node.name for part in self.nodes]} if self.peers else None,
        }

    def record(self, node: NodePlan) -> Dict[str, Any]:
        """Return what the node's record of the job holds beside the request to start."""
        return {
            "node": node.node.name,
            "nodes": [node_identity(part.node) for part in self.nodes],
            "tree": node.node.tree or None,
            "device_target": self.device_target,
            "control_version": __version__,
            "master_addr": self.master_addr,
            "master_port": self.master_port,
            "metric_rank": self.metric_rank,
            "config_diff": self.config_diff,
            "results": list(self.results),
            "inputs": dict(self.inputs),
            "resumes": self.resumes,
            "restarts": self.restarts,
        }

    def as_dict(self) -> Dict[str, Any]:
        """Return the plan as data, secrets masked."""
        return {
            "schema": schemas.PLAN,
            "job_id": self.job_id,
            "owner": self.owner,
            "kind": self.kind,
            "world_size": self.world_size,
            "master_addr": self.master_addr,
            "master_port": self.master_port,
            "config_diff": self.config_diff,
            "notes": list(self.notes),
            "nodes": [
                {
                    **self.start_request(node),
                    "name": node.node.name,
                    "env": masked(dict(node.env)),
                    "options": {**self.options.as_dict(), "env": masked(dict(self.options.env))},
                    "files": sorted(dict(node.files)),
                    "folder": node.paths.folder,
                    "start_command": node_argv(node.node, "start"),
                }
                for node in self.nodes
            ],
        }

    def as_text(self) -> str:
        """Render the plan for reading: the exact command of each node."""
        master = f", master {self.master_addr}:{self.master_port}" if self.master_port else ""
        lines = [
            f"job {self.job_id} for {self.owner}",
            f"{len(self.nodes)} nodes x {self.workers_per_node} workers = world size {self.world_size}{master}",
        ]
        for node in self.nodes:
            last = node.first_rank + self.workers_per_node - 1
            lines += [
                "",
                f"{node.node.name}: node rank {node.node_rank}, ranks {node.first_rank}-{last}",
                f"  folder   {node.paths.folder}",
                f"  files    {' '.join(f'work/{name}' for name, _ in node.files)}",
                f"  start    {shell_text(node_argv(node.node, 'start'))}",
            ]
            lines += [f"  link     work/{name} -> {source}" for name, source in node.links]
            if node.node.env_script:
                lines.append(f"  source   {node.node.env_script}")
            lines.append(f"  command  {command_text(node.argv, dict(node.env), node.path)}")
        if self.notes:
            lines += ["", "notes:", *(f"  {note}" for note in self.notes)]
        if self.config_diff:
            lines += ["", "changes to the yaml:", *(f"  {line}" for line in self.config_diff.splitlines())]
        return "\n".join(lines)


def node_identity(node: Node) -> Dict[str, Any]:
    """Return what of a node has to be the same for a job to be run again there."""
    return {
        "name": node.name,
        "addr": node.addr,
        "npu_count": node.npu_count,
        "container": node.container,
        "tree": node.tree,
    }


def plan_job(
    *,
    program: Program,
    options: JobOptions,
    cluster: Cluster,
    probes: Mapping[str, NodeProbe],
    job_id: str,
    owner: str,
    links: Optional[Mapping[str, Tuple[Tuple[str, str], ...]]] = None,
    resumes: str = "",
) -> JobPlan:
    """Make the plan of a job that runs `program`; `probes` has an answer of every node that takes part."""
    cluster = program.processes.cluster(cluster)
    workers = program.processes.workers_per_node(cluster, options.npus_per_node)
    world_size = workers * len(cluster.nodes)
    is_one_cluster = program.processes is Processes.ALL and world_size > 1
    if is_one_cluster:
        check_master_addr(cluster.master.addr, cluster.master.name)
    port = probes[cluster.master.name].free_port if is_one_cluster else None
    shape = _Shape(program=program, options=options, cluster=cluster, workers=workers, port=port)
    return JobPlan(
        job_id=job_id,
        owner=owner,
        kind=program.kind,
        workers_per_node=workers,
        master_addr=cluster.master.addr,
        master_port=port,
        options=options,
        metric_rank=metric_rank(world_size, program.pipeline_stages),
        config_diff=program.config_diff,
        nodes=tuple(
            _node_plan(shape, rank, probes[node.name], job_id, (links or {}).get(node.name, ()))
            for rank, node in enumerate(cluster.nodes)
        ),
        results=program.results,
        inputs=program.inputs,
        device_target=cluster.device_target,
        notes=program.notes,
        peers=job_peers(cluster, probes, options) if is_one_cluster else None,
        resumes=resumes,
    )


@dataclass(frozen=True)
class _Shape:
    """What the parts of all nodes have in common; without a port each node runs one process, which needs no msrun."""

    program: Program
    options: JobOptions
    cluster: Cluster
    workers: int
    port: Optional[int]

    @property
    def world_size(self) -> int:
        return self.workers * len(self.cluster.nodes)


def _node_plan(
    shape: _Shape, node_rank: int, probe: NodeProbe, job_id: str, links: Tuple[Tuple[str, str], ...]
) -> NodePlan:
    node = shape.cluster.nodes[node_rank]
    paths = JobPaths(probe.job_root, job_id)
    python = probe.python or job_python(node)
    first_rank = node_rank * shape.workers
    argv = [python, *shape.program.words(node, paths)]
    if shape.port is not None:
        argv = _msrun(shape, node_rank, paths, argv, port=shape.port)
    return NodePlan(
        node=node,
        node_rank=node_rank,
        first_rank=first_rank,
        paths=paths,
        argv=tuple(argv),
        env=_env(shape, node, paths),
        path=(posixpath.dirname(python),) if python.startswith("/") else (),
        files=shape.program.node_files(node),
        output=_MSRUN_LOG if shape.port is not None else posixpath.basename(paths.worker_log(first_rank)),
        links=links,
    )


def _msrun(shape: _Shape, node_rank: int, paths: JobPaths, argv: List[str], *, port: int) -> List[str]:
    python, *program = argv
    return msrun_argv(
        world_size=shape.world_size,
        local_worker_num=shape.workers,
        master_addr=shape.cluster.master.addr,
        master_port=port,
        node_rank=node_rank,
        log_dir=paths.logs,
        cluster_timeout=shape.options.cluster_timeout,
        program=[python_name(python), *program],
    )


def _env(shape: _Shape, node: Node, paths: JobPaths) -> Tuple[Tuple[str, Optional[str]], ...]:
    env = worker_env(
        device_target=shape.cluster.device_target,
        node_addr=node.addr,
        npus=shape.workers,
        npu_count=node.npu_count,
        world_size=shape.world_size if shape.port is not None else shape.workers,
        tree=node.tree,
        shared_paths=shape.cluster.shared_paths,
        model_name=shape.program.model_name,
        log_dir=paths.logs,
        extra={**dict(shape.program.env), **dict(node.env), **dict(shape.options.env)},
    )
    return tuple(env.items())


def job_peers(cluster: Cluster, probes: Mapping[str, NodeProbe], options: JobOptions) -> Optional[PeerSettings]:
    """Return how the nodes of one msrun cluster hear each other; a single one has nobody to hear."""
    port = probes[cluster.master.name].peers_port
    if len(cluster.nodes) == 1 or port is None:
        return None
    return PeerSettings(
        addr=cluster.master.addr,
        port=port,
        join_seconds=options.cluster_timeout,
        silence_seconds=options.heartbeat_timeout,
    )
