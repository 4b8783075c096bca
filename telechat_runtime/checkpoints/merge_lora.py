# SPDX-License-Identifier: Apache-2.0
"""Prepares a LoRA merge: what the run says of itself, judged on rank 0's node, then a job there. Changes nothing."""

from __future__ import annotations

import json
from typing import Any, Dict, Mapping, Tuple

from telechat_runtime.checkpoints.convert import REQUEST, job_outputs, merge_program, plan_on_master
from telechat_runtime.checkpoints.lora_run import LoraRun, lora_run
from telechat_runtime.checkpoints.spec import MergeSpec
from telechat_runtime.cluster.topology import Cluster
from telechat_runtime.errors import PreflightError
from telechat_runtime.interrupt import Interrupt
from telechat_runtime.job.options import JobOptions
from telechat_runtime.plan.plan import JobPlan
from telechat_runtime.remote.client import NodeClient

_OUTPUT = "merge_ckpt"
_MERGED = "merged_lora.ckpt"


def plan_merge(
    spec: MergeSpec,
    options: JobOptions,
    cluster: Cluster,
    clients: Mapping[str, NodeClient],
    *,
    interrupt: Interrupt,
) -> JobPlan:
    """Judge the merge and make its plan. Raises SpecError, ConfigError, UnreachableError or PreflightError."""
    elsewhere: Tuple[Tuple[str, Tuple[int, ...]], ...] = ()
    if spec.job:
        outputs = job_outputs(spec.job, cluster, clients, interrupt)
        run = lora_run(spec.job, cluster.master.name, outputs, spec.scaling)
        request, elsewhere = _request_of_run(run, spec.output), run.elsewhere
    else:
        request = {
            "checkpoint": spec.checkpoint,
            "output": spec.output,
            "from_strategy": spec.strategy or None,
            "scaling": spec.scaling,
        }
    try:
        clients[cluster.master.name].checkpoint_info(request)
    except PreflightError as error:
        raise PreflightError(error.detail, next_step=error.next_step or _where(elsewhere), node=error.node) from error
    return plan_on_master(
        merge_program(request), options, cluster, clients, interrupt=interrupt, inputs=[request["checkpoint"]]
    )


def _request_of_run(run: LoraRun, output: str) -> Dict[str, Any]:
    return {
        "checkpoint": run.checkpoint,
        "output": output or f"{run.checkpoint.rpartition('/')[0]}/{_OUTPUT}",
        "from_strategy": run.strategy,
        "ranks_are_whole": run.strategy is None,
        "scaling": run.scaling,
    }


def _where(elsewhere: Tuple[Tuple[str, Tuple[int, ...]], ...]) -> str:
    """Tell which nodes have ranks that rank 0's node lacks."""
    told = [f"{name} has rank {', '.join(map(str, ranks))}" for name, ranks in elsewhere if ranks]
    return "; ".join(told)


def merged_file(plan: JobPlan) -> str:
    """Return where a merge has put its result, on rank 0's node."""
    output: str = json.loads(dict(plan.nodes[0].files)[REQUEST])["output"]
    return f"{output}/{_MERGED}"
