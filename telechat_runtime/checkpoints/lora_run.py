# SPDX-License-Identifier: Apache-2.0
"""What a finished LoRA run says of itself, and whether it can be merged."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Dict, Mapping, Optional, Tuple

from telechat_runtime.errors import ConfigError, PreflightError
from telechat_runtime.remote.answers.checkpoints import JobOutputAnswer
from telechat_runtime.training.config import ONLY_TRAINABLE
from telechat_runtime.training.document import Document
from telechat_runtime.training.parallel_mode import is_model_cut
from telechat_runtime.training.yaml_view import YamlView

CHECKPOINT_FOLDERS = ("checkpoint_network", "checkpoint")
_SCALING = ("lora_alpha", "lora_rank")


@dataclass(frozen=True)
class LoraRun:
    """What a merge takes from a run; a strategy of None means that every rank holds the whole model."""

    scaling: float
    checkpoint: str
    strategy: Optional[Dict[str, str]]
    elsewhere: Tuple[Tuple[str, Tuple[int, ...]], ...]


def gathered_strategy(job: str, outputs: Mapping[str, JobOutputAnswer]) -> Dict[str, str]:
    """Return the strategy files that a job left on all nodes. Raises PreflightError when there is none."""
    _check_there(job, outputs)
    files: Dict[str, str] = {}
    for output in outputs.values():
        for name, content in output.strategy.items():
            if content not in files.values():
                files.setdefault(name, content)
    if not files:
        raise PreflightError(
            f"job {job} left no strategy files in {_folder(outputs)}/strategy on {', '.join(outputs)}",
            next_step="only runs with parallel_mode 1 (semi-auto parallel) save them; others keep the model whole",
        )
    return files


def lora_run(job: str, master: str, outputs: Mapping[str, JobOutputAnswer], scaling: Optional[float]) -> LoraRun:
    """Judge a run by its yaml and what it left on the nodes; `scaling` goes before the yaml's.

    Raises PreflightError or ConfigError for a run that can't be merged, with the reason.
    """
    _check_there(job, outputs)
    own = outputs[master]
    if own.state is None:
        raise PreflightError(f"it was not a node of job {job}", next_step="use the job's own --limit", node=master)
    if not own.state.is_terminal:
        raise PreflightError(f"job {job} is {own.state}; its checkpoints are still being written", node=master)
    source = f"work/config.yaml of job {job}"
    if own.config is None:
        raise PreflightError(
            f"{source} can't be read", next_step="give --checkpoint, --strategy, --lora-scaling", node=master
        )
    values = Document.load(own.config, source).values
    pet = YamlView(values).section("model.model_config.pet_config")
    if not pet:
        raise ConfigError(f"{source} has no model.model_config.pet_config: it was no LoRA run")
    cut = is_model_cut(values)
    if cut:
        _check_all_saved(job, values)
    name = next((name for name in CHECKPOINT_FOLDERS if own.checkpoints.get(name)), None)
    if name is None:
        raise PreflightError(f"{own.output} holds no checkpoint of job {job}: it saved none, or elsewhere", node=master)
    others = {node: set(output.checkpoints.get(name, ())) for node, output in outputs.items() if node != master}
    return LoraRun(
        scaling=_scaling(pet, source) if scaling is None else scaling,
        checkpoint=f"{own.output}/{name}",
        strategy=gathered_strategy(job, outputs) if cut else None,
        elsewhere=tuple((node, tuple(sorted(ranks - set(own.checkpoints[name])))) for node, ranks in others.items()),
    )


def _check_there(job: str, outputs: Mapping[str, JobOutputAnswer]) -> None:
    if all(output.state is None for output in outputs.values()):
        raise PreflightError(f"no job {job} on {', '.join(outputs)}", next_step="list the jobs: telechat-run status")


def _folder(outputs: Mapping[str, JobOutputAnswer]) -> str:
    return next(output.output or "" for output in outputs.values() if output.state is not None)


def _check_all_saved(job: str, values: Mapping[str, Any]) -> None:
    said = YamlView(values).get(ONLY_TRAINABLE)
    if said is False:
        return
    shown = "is not set, which means True" if said is None else f"is {said}"
    raise PreflightError(
        f"job {job} saved the strategy of its trainable parameters only (parallel.strategy_ckpt_config."
        f"only_trainable_params {shown}), so nobody can tell how the base weights were cut",
        next_step="train again by `telechat-run finetune --method lora`, which saves the whole strategy; "
        "or give strategy files of the same layout: merge-lora --checkpoint … --strategy …",
    )


def _scaling(pet: YamlView, source: str) -> float:
    alpha, rank = (pet.get(name) for name in _SCALING)
    if not all(isinstance(value, (int, float)) and value > 0 for value in (alpha, rank)):
        raise ConfigError(
            f"{source} has lora_alpha {alpha!r} and lora_rank {rank!r}, whose quotient is the scaling",
            next_step="give it with --lora-scaling",
        )
    return float(alpha) / float(rank)
