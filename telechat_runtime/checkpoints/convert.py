# SPDX-License-Identifier: Apache-2.0
"""Prepares the conversion of a checkpoint: rank 0's node judges it by headers, then it becomes a job. Changes nothing.

With a layout instead of a strategy a run of its own comes before it, which compiles the model on all nodes, saves the
strategy and ends.
"""

from __future__ import annotations

import dataclasses
import json
from typing import Any, Dict, Mapping, Optional

from telechat_runtime.checkpoints.lora_run import gathered_strategy
from telechat_runtime.checkpoints.spec import ConvertSpec
from telechat_runtime.cluster.topology import Cluster
from telechat_runtime.errors import PreflightError, SpecError
from telechat_runtime.fanout import call_on_all
from telechat_runtime.finetune.plan import plan_finetune
from telechat_runtime.finetune.spec import FinetuneSpec
from telechat_runtime.interrupt import Interrupt
from telechat_runtime.job.identity import new_job_id, whoami
from telechat_runtime.job.options import JobOptions, Override
from telechat_runtime.plan.payload import node_package
from telechat_runtime.plan.plan import JobPlan, plan_job
from telechat_runtime.plan.program import WORK, Entry, Processes, Program
from telechat_runtime.remote.answers.checkpoints import JobOutputAnswer
from telechat_runtime.remote.client import NodeClient
from telechat_runtime.run.preflight import Preflight
from telechat_runtime.training.document import Document
from telechat_runtime.training.parallel_mode import is_model_cut
from telechat_runtime.training.shipped import ConfigSource

STRATEGY_KIND = "strategy"
_MODULES = "telechat_runtime.node.programs.checkpoints"
REQUEST = "request.json"
# The guide's first step, and its second one without what it says to leave out.
_ONLY_STRATEGY = (
    Override(key="only_save_strategy", value="True", add=True),
    Override(key="auto_trans_ckpt", value="False", add=True),
    Override(key="resume_training", value="False", add=True),
    Override(key="load_checkpoint", value="''", add=True),
    Override(key="parallel.strategy_ckpt_config.only_trainable_params", value="False", add=True),
)


def plan_conversion(
    spec: ConvertSpec,
    options: JobOptions,
    cluster: Cluster,
    clients: Mapping[str, NodeClient],
    *,
    interrupt: Interrupt,
) -> JobPlan:
    """Judge the conversion and make its plan. Raises SpecError, UnreachableError or PreflightError."""
    request = conversion_request(spec, cluster, clients, interrupt)
    clients[cluster.master.name].checkpoint_info(request)
    return plan_on_master(
        conversion_program(request), options, cluster, clients, interrupt=interrupt, inputs=[spec.checkpoint]
    )


def plan_strategy(
    spec: ConvertSpec,
    training: FinetuneSpec,
    options: JobOptions,
    cluster: Cluster,
    clients: Mapping[str, NodeClient],
    *,
    source: Optional[ConfigSource],
    interrupt: Interrupt,
) -> JobPlan:
    """Make the plan of the run that saves the strategy of a layout; the checkpoint is judged before it, too.

    Raises SpecError, ConfigError, UnreachableError or PreflightError.
    """
    request = conversion_request(dataclasses.replace(spec, to_layout=True), cluster, clients, interrupt)
    clients[cluster.master.name].checkpoint_info({**request, "target_follows": True})
    training = dataclasses.replace(training, overrides=(*training.overrides, *_ONLY_STRATEGY))
    plan = plan_finetune(training, options, cluster, clients, source=source, interrupt=interrupt)
    if not is_model_cut(Document.load(dict(plan.nodes[0].files)["config.yaml"], "config.yaml").values):
        raise SpecError(
            "that run would keep the model whole on every card, so there is nothing to cut the checkpoint for",
            next_step="give it to finetune as it is; models are cut with parallel.parallel_mode 1 and several cards",
        )
    return dataclasses.replace(plan, kind=STRATEGY_KIND)


def conversion_request(
    spec: ConvertSpec, cluster: Cluster, clients: Mapping[str, NodeClient], interrupt: Interrupt
) -> Dict[str, Any]:
    """Return what the node's program is asked for, with the strategies of jobs gathered from all nodes."""
    strategies: Dict[str, Any] = {"from_strategy": spec.from_strategy or None, "to_strategy": spec.to_strategy or None}
    for key, job in (("from_strategy", spec.from_job), ("to_strategy", spec.to_job)):
        if job:
            strategies[key] = gathered_strategy(job, job_outputs(job, cluster, clients, interrupt))
    return {"checkpoint": spec.checkpoint, "output": spec.output, "processes": spec.processes, **strategies}


def job_outputs(
    job: str, cluster: Cluster, clients: Mapping[str, NodeClient], interrupt: Interrupt
) -> Dict[str, JobOutputAnswer]:
    """Ask all nodes at once what a job left on them."""

    def ask(name: str) -> JobOutputAnswer:
        client = clients[name]
        return client.job_output(job, client.node.job_root)

    return call_on_all([node.name for node in cluster.nodes], ask, doing="looking at the job", interrupt=interrupt)


def plan_on_master(
    program: Program,
    options: JobOptions,
    cluster: Cluster,
    clients: Mapping[str, NodeClient],
    *,
    interrupt: Interrupt,
    inputs: list[str],
) -> JobPlan:
    """Look at rank 0's node and plan a job of one process there."""
    alone = Processes.RANK_0.cluster(cluster)
    probes = Preflight(alone, clients, interrupt, needs_port=False).look(inputs)
    return plan_job(
        program=program,
        options=options,
        cluster=cluster,
        probes=probes,
        job_id=new_job_id(options.job_name),
        owner=whoami(),
    )


def verified(plan: JobPlan, cluster: Cluster, clients: Mapping[str, NodeClient]) -> Dict[str, Any]:
    """Let the node compare the result of a conversion with its strategy once more; return what the report shows.

    Raises PreflightError when files are missing.
    """
    name = cluster.master.name
    found = clients[name].conversion_info(json.loads(dict(plan.nodes[0].files)[REQUEST]))
    if found.to_make:
        raise PreflightError(f"{found.result} lacks {found.to_make} files; run it again", node=name)
    return {"result": found.result, "ranks": found.target_ranks}


def conversion_program(request: Mapping[str, Any]) -> Program:
    """Return what converts a checkpoint; the request is that of `node checkpoint-info`."""
    return _checkpoint_program("transform", "convert", request)


def merge_program(request: Mapping[str, Any]) -> Program:
    """Return what merges LoRA into its base; the request is that of `node checkpoint-info`."""
    return _checkpoint_program("merge", "merge_lora", request)


def _checkpoint_program(kind: str, module: str, request: Mapping[str, Any]) -> Program:
    return Program(
        kind=kind,
        own=Entry(words=("-m", f"{_MODULES}.{module}", f"{WORK}/{REQUEST}")),
        processes=Processes.RANK_0,
        files=((REQUEST, json.dumps(request, indent=1)), *node_package("checkpoints")),
        inputs=(("checkpoint", str(request["checkpoint"])),),
    )
