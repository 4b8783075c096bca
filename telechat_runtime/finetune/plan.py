# SPDX-License-Identifier: Apache-2.0
"""Prepares a finetune job: one look at every node, then a plan. Changes nothing."""

from __future__ import annotations

from typing import List, Mapping, Optional

from telechat_runtime.cluster.topology import Cluster
from telechat_runtime.errors import PreflightError
from telechat_runtime.finetune.config import FinetuneConfig, Workers, finetune_config
from telechat_runtime.finetune.latest_checkpoint import Resume
from telechat_runtime.finetune.settings import SPEED_UP_FILE
from telechat_runtime.finetune.spec import KIND, FinetuneSpec
from telechat_runtime.interrupt import Interrupt
from telechat_runtime.job.identity import new_job_id, whoami
from telechat_runtime.job.options import JobOptions
from telechat_runtime.plan.data_facts import DataQuestion
from telechat_runtime.plan.node_facts import NodeProbe
from telechat_runtime.plan.payload import node_program
from telechat_runtime.plan.plan import JobPlan, plan_job
from telechat_runtime.plan.program import RESEARCH, TREE, WORK, Entry, Program
from telechat_runtime.remote.client import NodeClient
from telechat_runtime.run.preflight import Preflight
from telechat_runtime.training.checkpoint_transform import Start, choose_transform
from telechat_runtime.training.data_checks import (
    Saving,
    disk_problem,
    reads_mindrecord,
    row_problems,
    saving,
    shared_problems,
)
from telechat_runtime.training.shipped import ConfigSource, shipped_candidates, shipped_config

_LORA = "lora"
_CONFIG = ("--config", f"{WORK}/config.yaml")


def plan_finetune(
    spec: FinetuneSpec,
    options: JobOptions,
    cluster: Cluster,
    clients: Mapping[str, NodeClient],
    *,
    source: Optional[ConfigSource],
    interrupt: Interrupt,
    resume: Optional[Resume] = None,
    job_id: str = "",
) -> JobPlan:
    """Look at all nodes and make the plan; without a `source` the yaml of `spec.model` is taken from rank 0's tree.

    A training that goes on from another job's step takes that job's yaml as source. Raises SpecError, ConfigError,
    UnreachableError or PreflightError.
    """
    workers = Workers(
        device_target=cluster.device_target,
        per_node=cluster.workers_per_node(options.npus_per_node),
        nodes=len(cluster.nodes),
    )
    nodes = Preflight(
        cluster,
        clients,
        interrupt,
        needs_port=workers.count > 1,
        npus=workers.per_node,
        out_of_service=options.out_of_service,
    )
    if source is not None:
        config = finetune_config(spec, source, workers, resume)
        probes = nodes.look(config.node_paths, data=_question(config, cluster))
    else:
        candidates = _candidates(spec, cluster)
        given = [path for path in (spec.dataset, spec.checkpoint) if path]
        question = DataQuestion(spec.dataset, spec.checkpoint, _shared(cluster))
        probes = nodes.look(given, read=candidates, data=question)
        shipped = shipped_config(
            cluster, probes, candidates, kind=_LORA if spec.method == _LORA else KIND, model=spec.model
        )
        config = finetune_config(spec, shipped, workers)
        if config.node_paths != given:
            probes = nodes.look(config.node_paths, data=_question(config, cluster))
    job_id = job_id or new_job_id(options.job_name)
    return plan_job(
        program=finetune_program(_judged(config, probes, cluster, workers, job_id)),
        options=options,
        cluster=cluster,
        probes=probes,
        job_id=job_id,
        owner=whoami(),
        links=resume.links if resume else None,
        resumes=resume.job_id if resume else "",
    )


def finetune_program(config: FinetuneConfig) -> Program:
    """Return what trains by that yaml: the tree's own run_mindformer.py, or ours for MindFormers wheels."""
    speed_up = ((SPEED_UP_FILE, config.spec.speed_up),) if config.spec.speed_up else ()
    return Program(
        kind=KIND,
        own=Entry(
            words=(f"{WORK}/run_mindformer.py", *_CONFIG),
            files=(("run_mindformer.py", node_program("run_mindformer.py")),),
        ),
        tree=Entry(words=(f"{TREE}/run_mindformer.py", *_CONFIG, "--register_path", f"{TREE}/{RESEARCH}")),
        files=(("config.yaml", config.document.text), *speed_up),
        config_diff=config.document.diff,
        model_name=config.facts.model_name,
        pipeline_stages=config.facts.pipeline_stages,
        notes=config.notes,
        inputs=tuple(
            (name, path)
            for name, path in (("dataset", config.facts.dataset), ("checkpoint", config.facts.checkpoint))
            if path.startswith("/")
        ),
    )


def _candidates(spec: FinetuneSpec, cluster: Cluster) -> List[str]:
    """Return where the tree may have the yaml; LoRA has one of its own for most models, else the full one serves."""
    kinds = (_LORA, KIND) if spec.method == _LORA else (KIND,)
    return [path for kind in kinds for path in shipped_candidates(cluster, kind, spec.model)]


def _shared(cluster: Cluster) -> tuple[str, ...]:
    return tuple(cluster.shared_paths) if len(cluster.nodes) > 1 else ()


def _question(config: FinetuneConfig, cluster: Cluster) -> DataQuestion:
    dataset = config.facts.dataset if reads_mindrecord(config.values) else ""
    checkpoint = config.facts.checkpoint if config.facts.checkpoint.startswith("/") else ""
    return DataQuestion(dataset, checkpoint, _shared(cluster))


def _judged(
    config: FinetuneConfig, probes: Mapping[str, NodeProbe], cluster: Cluster, workers: Workers, job_id: str
) -> FinetuneConfig:
    """Return the yaml that also suits what the nodes hold. Raises PreflightError with every problem found."""
    looks = {name: probe.data for name, probe in probes.items()}
    problems = [*shared_problems(_shared(cluster), looks)]
    if reads_mindrecord(config.values):
        problems += row_problems(config.training, looks, cards=workers.count)
    if problems:
        raise PreflightError("\n".join(problems), next_step="nothing was started; mend this and run it again")
    start = Start(workers.count, workers.nodes, cluster.shared_paths, job_id)
    checkpoint = looks[cluster.master.name].checkpoint
    settings, notes = choose_transform(
        config.training, config.values, checkpoint, start, config.spec.checkpoint_transform
    )
    config = config.having(settings, notes) if settings or notes else config
    _check_disk(config, probes, cluster, workers)
    return config


def _check_disk(config: FinetuneConfig, probes: Mapping[str, NodeProbe], cluster: Cluster, workers: Workers) -> None:
    dataset = probes[cluster.master.name].data.dataset
    rows = dataset.rows if dataset else None
    wanted = saving(config.training, config.values, cards=workers.count, rows=rows)
    if wanted is None:
        return
    output = config.facts.output
    shared = next((path for path in _shared(cluster) if output.startswith(path.rstrip("/") + "/")), None)
    problems: List[Optional[str]] = []
    if shared is not None:
        folder = probes[cluster.master.name].data.folder(shared)
        problems = [disk_problem(wanted, folder.free_bytes, shared)] if folder else []
    elif not output.startswith("/"):
        part = Saving(each_bytes=wanted.each_bytes // workers.nodes, kept=wanted.kept)
        for name, probe in probes.items():
            problem = disk_problem(part, probe.free_bytes, probe.job_root)
            problems.append(f"{name}: {problem}" if problem else None)
    found = [problem for problem in problems if problem]
    if found:
        raise PreflightError(
            "\n".join(found),
            next_step="free room, or keep fewer: --set callbacks.N.keep_checkpoint_max=… of the CheckpointMonitor",
        )
