# SPDX-License-Identifier: Apache-2.0
"""The yaml that a training starts from: a file of the control side, or one of the TeleChat2 tree of rank 0's node."""

from __future__ import annotations

from dataclasses import dataclass
from typing import List, Mapping, Optional, Sequence, Tuple

from telechat_runtime.cluster.topology import Cluster
from telechat_runtime.errors import PreflightError, SpecError
from telechat_runtime.job.options import MODELS
from telechat_runtime.plan.node_facts import NodeProbe
from telechat_runtime.plan.program import RESEARCH


@dataclass(frozen=True)
class ConfigSource:
    """A yaml: a file of the control side, or one of the TeleChat2 tree of rank 0's node."""

    name: str
    text: str


def shipped_candidates(cluster: Cluster, kind: str, model: Optional[str]) -> Tuple[str, ...]:
    """Return where rank 0's TeleChat2 tree may keep the yaml of a model. Raises SpecError without model or tree."""
    if model is None:
        raise SpecError("the job has no yaml", next_step="give --config FILE, or --model NAME")
    if not cluster.master.tree:
        raise SpecError(
            f"--model {model} takes the yaml of the TeleChat2 tree, and the inventory names none (telechat_tree)",
            next_step="set telechat_tree, or give --config FILE",
        )
    return tuple(shipped_configs(cluster.master.tree, kind, model))


def shipped_config(
    cluster: Cluster, probes: Mapping[str, NodeProbe], candidates: Sequence[str], *, kind: str, model: Optional[str]
) -> ConfigSource:
    """Return the first of the candidates that rank 0's node has. Raises PreflightError when it has none."""
    read = dict(probes[cluster.master.name].read)
    for path in candidates:
        text = read.get(path)
        if text is not None:
            return ConfigSource(name=path, text=text)
    raise PreflightError(
        f"the tree has no {kind} yaml for --model {model}; looked for {', '.join(candidates)}",
        next_step="give --config FILE",
        node=cluster.master.name,
    )


def shipped_configs(tree: str, kind: str, model: str) -> List[str]:
    """Return where a TeleChat2 tree may keep a model's yaml for that kind of job, the likeliest first."""
    if model not in MODELS:
        raise ValueError(f"{model!r} is no model; known are {', '.join(MODELS)}")
    names = dict.fromkeys([model, model.replace("-", "_")])
    folders = [RESEARCH, *(f"{RESEARCH}/telechat2-{name}" for name in names)]
    return [f"{tree}/{folder}/{kind}_telechat_{name}.yaml" for folder in folders for name in names]
