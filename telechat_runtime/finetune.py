# SPDX-License-Identifier: Apache-2.0
"""Prepares a finetune job: one look at every node, then a plan. Changes nothing."""

from __future__ import annotations

import getpass
import importlib.resources
import secrets
import socket
import time
from dataclasses import dataclass
from typing import Dict, List, Mapping, Optional, Tuple

from telechat_runtime.config import ConfigFacts, Overlay, check_parallel, config_facts, job_settings, overlay
from telechat_runtime.errors import ConfigError, PreflightError, SpecError
from telechat_runtime.executor import call_on_all
from telechat_runtime.interrupt import Interrupt
from telechat_runtime.node_client import NodeClient
from telechat_runtime.plan import JobPlan, plan_job, shipped_configs
from telechat_runtime.probe import NodeProbe, check_probes, parse_probe, probe_request
from telechat_runtime.spec import JobSpec
from telechat_runtime.topology import Cluster


@dataclass(frozen=True)
class ConfigSource:
    """A yaml on the control side; without one the tree's own yaml of `spec.model` is taken from rank 0."""

    name: str
    text: str


def prepare(
    spec: JobSpec,
    cluster: Cluster,
    clients: Mapping[str, NodeClient],
    *,
    source: Optional[ConfigSource],
    interrupt: Interrupt,
) -> JobPlan:
    """Look at all nodes and make the plan. Raises SpecError, ConfigError, UnreachableError or PreflightError."""
    workers = cluster.workers_per_node(spec.npus_per_node)
    world_size = workers * len(cluster.nodes)
    looker = _Looker(cluster, clients, interrupt, needs_port=world_size > 1)
    config: Optional[Tuple[Overlay, ConfigFacts]] = None
    if source is not None:
        config = _configure(spec, cluster, source, world_size)
        probes = looker.look(_paths(config[1]))
    else:
        candidates = _candidates(spec, cluster)
        given = [path for path in (spec.dataset, spec.checkpoint) if path]
        probes = looker.look(given, read=candidates)
        config = _configure(spec, cluster, _shipped(spec, cluster, probes, candidates), world_size)
        further = [path for path in _paths(config[1]) if path not in given]
        if further:
            probes = looker.look(further)
    return plan_job(
        spec=spec,
        cluster=cluster,
        probes=probes,
        job_id=new_job_id(spec.job_name),
        owner=whoami(),
        config=config[0],
        facts=config[1],
        entry=_entry_program(cluster),
    )


def new_job_id(job_name: str) -> str:
    """Return a job id that no other job has: name, time (UTC) and six random hex digits."""
    return f"{job_name}-{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}-{secrets.token_hex(3)}"


def whoami() -> str:
    """Return who starts a job, as `user@control host`: the name that a refused colleague reads."""
    return f"{getpass.getuser()}@{socket.gethostname()}"


class _Looker:
    def __init__(
        self, cluster: Cluster, clients: Mapping[str, NodeClient], interrupt: Interrupt, *, needs_port: bool
    ) -> None:
        self._cluster = cluster
        self._clients = clients
        self._interrupt = interrupt
        self._needs_port = needs_port

    def look(self, paths: List[str], read: Tuple[str, ...] = ()) -> Dict[str, NodeProbe]:
        """Probe all nodes at once and check what they answer."""
        names = [node.name for node in self._cluster.nodes]

        def probe(name: str) -> NodeProbe:
            client = self._clients[name]
            is_master = client.node == self._cluster.master
            port = self._cluster.master_port if is_master and self._needs_port else None
            request = probe_request(client.node, paths=paths, port=port, read=read if is_master else ())
            return parse_probe(client.node, client.probe(request))

        probes = call_on_all(names, probe, doing="looking at the nodes", interrupt=self._interrupt)
        check_probes(self._cluster, probes, needs_port=self._needs_port)
        return probes


def _configure(spec: JobSpec, cluster: Cluster, source: ConfigSource, world_size: int) -> Tuple[Overlay, ConfigFacts]:
    settings = job_settings(spec, device_target=cluster.device_target, world_size=world_size)
    config = overlay(source.text, settings, spec.overrides, source=source.name)
    facts = config_facts(config.text, source=source.name)
    if not facts.dataset:
        if spec.dataset:
            raise ConfigError(f"{source.name} has no train_dataset.data_loader, so nothing would read the dataset")
        raise SpecError("the job has no dataset", next_step="give --dataset with the MindRecord folder on the nodes")
    for what, path in (("dataset", facts.dataset), ("checkpoint", facts.checkpoint)):
        if path and not path.startswith("/"):
            raise SpecError(f"the yaml's {what} {path!r} is a relative path", next_step=f"give it with --{what}")
    check_parallel(facts, world_size)
    return config, facts


def _paths(facts: ConfigFacts) -> List[str]:
    return [path for path in (facts.dataset, facts.checkpoint) if path]


def _candidates(spec: JobSpec, cluster: Cluster) -> Tuple[str, ...]:
    if spec.model is None:
        raise SpecError("the job has no yaml", next_step="give --config FILE, or --model NAME")
    if not cluster.master.tree:
        raise SpecError(
            f"--model {spec.model} takes the yaml of the TeleChat2 tree, and the inventory names none (telechat_tree)",
            next_step="set telechat_tree, or give --config FILE",
        )
    return tuple(shipped_configs(cluster.master.tree, spec.model))


def _shipped(
    spec: JobSpec, cluster: Cluster, probes: Mapping[str, NodeProbe], candidates: Tuple[str, ...]
) -> ConfigSource:
    read = dict(probes[cluster.master.name].read)
    for path in candidates:
        text = read.get(path)
        if text is not None:
            return ConfigSource(name=path, text=text)
    raise PreflightError(
        f"{cluster.master.name}: the tree has no finetune yaml for --model {spec.model}; looked for "
        + ", ".join(candidates),
        next_step="give --config FILE",
    )


def _entry_program(cluster: Cluster) -> str:
    if all(node.tree for node in cluster.nodes):
        return ""
    return importlib.resources.files("telechat_runtime.node").joinpath("run_mindformer.py").read_text(encoding="utf-8")
