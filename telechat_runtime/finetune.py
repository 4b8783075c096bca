# SPDX-License-Identifier: Apache-2.0
"""Prepares a finetune job: one look at every node, then a plan. Changes nothing."""

from __future__ import annotations

from typing import List, Mapping, Optional, Tuple

from telechat_runtime.config import ConfigFacts, Overlay, check_parallel, config_facts, overlay
from telechat_runtime.errors import ConfigError, SpecError
from telechat_runtime.finetune_settings import finetune_settings
from telechat_runtime.finetune_spec import FinetuneSpec
from telechat_runtime.interrupt import Interrupt
from telechat_runtime.node_client import NodeClient
from telechat_runtime.plan import JobPlan, plan_job
from telechat_runtime.prepare import (
    ConfigSource,
    NodeLook,
    new_job_id,
    node_program,
    shipped_candidates,
    shipped_config,
    whoami,
)
from telechat_runtime.program import RESEARCH, TREE, WORK, Entry, Program
from telechat_runtime.spec import JobOptions
from telechat_runtime.topology import Cluster

_KIND = "finetune"
_CONFIG = ("--config", f"{WORK}/config.yaml")


def prepare(
    spec: FinetuneSpec,
    options: JobOptions,
    cluster: Cluster,
    clients: Mapping[str, NodeClient],
    *,
    source: Optional[ConfigSource],
    interrupt: Interrupt,
) -> JobPlan:
    """Look at all nodes and make the plan; without a `source` the yaml of `spec.model` is taken from rank 0's tree.

    Raises SpecError, ConfigError, UnreachableError or PreflightError.
    """
    world_size = cluster.workers_per_node(options.npus_per_node) * len(cluster.nodes)
    nodes = NodeLook(cluster, clients, interrupt, needs_port=world_size > 1)
    config: Optional[Tuple[Overlay, ConfigFacts]] = None
    if source is not None:
        config = _configure(spec, cluster, source, world_size)
        probes = nodes.look(_paths(config[1]))
    else:
        candidates = shipped_candidates(cluster, _KIND, spec.model)
        given = [path for path in (spec.dataset, spec.checkpoint) if path]
        probes = nodes.look(given, read=candidates)
        shipped = shipped_config(cluster, probes, candidates, kind=_KIND, model=spec.model)
        config = _configure(spec, cluster, shipped, world_size)
        further = [path for path in _paths(config[1]) if path not in given]
        if further:
            probes = nodes.look(further)
    return plan_job(
        program=finetune_program(*config),
        options=options,
        cluster=cluster,
        probes=probes,
        job_id=new_job_id(options.job_name),
        owner=whoami(),
    )


def finetune_program(config: Overlay, facts: ConfigFacts) -> Program:
    """Return what trains by that yaml: the tree's own run_mindformer.py, or ours for MindFormers wheels."""
    return Program(
        kind=_KIND,
        own=Entry(
            words=(f"{WORK}/run_mindformer.py", *_CONFIG),
            files=(("run_mindformer.py", node_program("run_mindformer.py")),),
        ),
        tree=Entry(words=(f"{TREE}/run_mindformer.py", *_CONFIG, "--register_path", f"{TREE}/{RESEARCH}")),
        files=(("config.yaml", config.text),),
        config_diff=config.diff,
        model_name=facts.model_name,
        pipeline_stages=facts.pipeline_stages,
    )


def _configure(
    spec: FinetuneSpec, cluster: Cluster, source: ConfigSource, world_size: int
) -> Tuple[Overlay, ConfigFacts]:
    settings = finetune_settings(spec, device_target=cluster.device_target, world_size=world_size)
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
