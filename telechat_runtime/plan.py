# SPDX-License-Identifier: Apache-2.0
"""A job as a value: for every node its folder, files, environment and exact argv.

`--dry-run` prints a plan and `launch` takes nothing else, so what is shown is what runs.
"""

from __future__ import annotations

import posixpath
from dataclasses import dataclass
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

from telechat_runtime.command import command_text, job_python, masked, node_argv, shell_text
from telechat_runtime.config import ConfigFacts, Overlay
from telechat_runtime.job import JobPaths
from telechat_runtime.logs import metric_rank
from telechat_runtime.msrun import check_master_addr, msrun_argv, python_name, worker_env
from telechat_runtime.probe import NodeProbe
from telechat_runtime.spec import MODELS, JobSpec
from telechat_runtime.topology import Cluster, Node

RESEARCH = "research/telechat2"
_MSRUN_LOG = "msrun.log"


@dataclass(frozen=True)
class NodePlan:
    """What one node is told to do; `path` goes before PATH, a None in `env` unsets a variable."""

    node: Node
    first_rank: int
    paths: JobPaths
    argv: Tuple[str, ...]
    env: Tuple[Tuple[str, Optional[str]], ...]
    path: Tuple[str, ...]
    files: Tuple[Tuple[str, str], ...]
    output: str


@dataclass(frozen=True)
class JobPlan:
    """The whole job; `metric_rank` is the worker whose loss counts."""

    job_id: str
    owner: str
    kind: str
    workers_per_node: int
    master_addr: str
    master_port: Optional[int]
    grace_seconds: int
    metric_rank: int
    config_diff: str
    nodes: Tuple[NodePlan, ...]

    @property
    def world_size(self) -> int:
        """Number of workers of the job."""
        return self.workers_per_node * len(self.nodes)

    def start_request(self, node: NodePlan) -> Dict[str, Any]:
        """Return the document that `node start` reads."""
        return {
            "job_id": self.job_id,
            "owner": self.owner,
            "kind": self.kind,
            "node_rank": node.node.rank,
            "node_count": len(self.nodes),
            "first_rank": node.first_rank,
            "local_worker_num": self.workers_per_node,
            "job_root": node.paths.job_root,
            "argv": list(node.argv),
            "env": dict(node.env),
            "path": list(node.path),
            "env_script": node.node.env_script or None,
            "files": dict(node.files),
            "output": node.output,
            "grace_seconds": self.grace_seconds,
        }

    def as_dict(self) -> Dict[str, Any]:
        """Return the plan as data, secrets masked."""
        return {
            "job_id": self.job_id,
            "owner": self.owner,
            "kind": self.kind,
            "world_size": self.world_size,
            "master_addr": self.master_addr,
            "master_port": self.master_port,
            "config_diff": self.config_diff,
            "nodes": [
                {
                    **self.start_request(node),
                    "name": node.node.name,
                    "env": masked(dict(node.env)),
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
                f"{node.node.name}: node rank {node.node.rank}, ranks {node.first_rank}-{last}",
                f"  folder   {node.paths.folder}",
                f"  files    {' '.join(f'work/{name}' for name, _ in node.files)}",
                f"  start    {shell_text(node_argv(node.node, 'start'))}",
            ]
            if node.node.env_script:
                lines.append(f"  source   {node.node.env_script}")
            lines.append(f"  command  {command_text(node.argv, dict(node.env), node.path)}")
        lines += ["", "changes to the yaml:", *(f"  {line}" for line in self.config_diff.splitlines())]
        return "\n".join(lines)


def plan_job(
    *,
    spec: JobSpec,
    cluster: Cluster,
    probes: Mapping[str, NodeProbe],
    job_id: str,
    owner: str,
    config: Overlay,
    facts: ConfigFacts,
    entry: str,
) -> JobPlan:
    """Make the plan; `entry` is the text of the runtime's own entry program, for nodes without a TeleChat2 tree."""
    workers = cluster.workers_per_node(spec.npus_per_node)
    world_size = workers * len(cluster.nodes)
    if world_size > 1:
        check_master_addr(cluster.master.addr, cluster.master.name)
    port = probes[cluster.master.name].free_port if world_size > 1 else None
    shape = _Shape(spec=spec, cluster=cluster, facts=facts, workers=workers, port=port)
    return JobPlan(
        job_id=job_id,
        owner=owner,
        kind=spec.kind,
        workers_per_node=workers,
        master_addr=cluster.master.addr,
        master_port=port,
        grace_seconds=spec.grace_seconds,
        metric_rank=metric_rank(world_size, facts.pipeline_stages),
        config_diff=config.diff,
        nodes=tuple(
            _node_plan(shape, node, probes[node.name], job_id, _files(node, config, entry)) for node in cluster.nodes
        ),
    )


def shipped_configs(tree: str, model: str) -> List[str]:
    """Return where a TeleChat2 tree may keep the finetune yaml of a model, the likeliest first."""
    if model not in MODELS:
        raise ValueError(f"{model!r} is no model; known are {', '.join(MODELS)}")
    names = dict.fromkeys([model, model.replace("-", "_")])
    folders = [RESEARCH, *(f"{RESEARCH}/telechat2-{name}" for name in names)]
    return [f"{tree}/{folder}/finetune_telechat_{name}.yaml" for folder in folders for name in names]


@dataclass(frozen=True)
class _Shape:
    """What the parts of all nodes have in common; without a port the job is one process, which needs no msrun."""

    spec: JobSpec
    cluster: Cluster
    facts: ConfigFacts
    workers: int
    port: Optional[int]

    @property
    def world_size(self) -> int:
        return self.workers * len(self.cluster.nodes)


def _node_plan(
    shape: _Shape, node: Node, probe: NodeProbe, job_id: str, files: Tuple[Tuple[str, str], ...]
) -> NodePlan:
    paths = JobPaths(probe.job_root, job_id)
    python = probe.python or job_python(node)
    argv = [python, *_program(node, paths)]
    if shape.port is not None:
        argv = _msrun(shape, node, paths, argv, port=shape.port)
    return NodePlan(
        node=node,
        first_rank=node.rank * shape.workers,
        paths=paths,
        argv=tuple(argv),
        env=_env(shape, node),
        path=(posixpath.dirname(python),) if python.startswith("/") else (),
        files=files,
        output=_MSRUN_LOG if shape.port is not None else posixpath.basename(paths.worker_log(0)),
    )


def _msrun(shape: _Shape, node: Node, paths: JobPaths, argv: List[str], *, port: int) -> List[str]:
    python, *program = argv
    return msrun_argv(
        world_size=shape.world_size,
        local_worker_num=shape.workers,
        master_addr=shape.cluster.master.addr,
        master_port=port,
        node_rank=node.rank,
        log_dir=paths.logs,
        cluster_timeout=shape.spec.cluster_timeout,
        program=[python_name(python), *program],
    )


def _program(node: Node, paths: JobPaths) -> Sequence[str]:
    if node.tree:
        return [
            f"{node.tree}/run_mindformer.py",
            "--config",
            paths.config,
            "--register_path",
            f"{node.tree}/{RESEARCH}",
        ]
    return [paths.entry, "--config", paths.config]


def _files(node: Node, config: Overlay, entry: str) -> Tuple[Tuple[str, str], ...]:
    own_entry = () if node.tree else (("run_mindformer.py", entry),)
    return (("config.yaml", config.text), *own_entry)


def _env(shape: _Shape, node: Node) -> Tuple[Tuple[str, Optional[str]], ...]:
    env = worker_env(
        device_target=shape.cluster.device_target,
        node_addr=node.addr,
        npus=shape.workers,
        npu_count=node.npu_count,
        world_size=shape.world_size,
        tree=node.tree,
        shared_paths=shape.cluster.shared_paths,
        model_name=shape.facts.model_name,
        extra={**dict(node.env), **dict(shape.spec.env)},
    )
    return tuple(env.items())
