# SPDX-License-Identifier: Apache-2.0
"""How the weights that a finetune starts from get to the cards: cut by MindFormers at the start, or cut before."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, List, Mapping, Optional, Sequence, Tuple

from telechat_runtime.errors import PreflightError
from telechat_runtime.remote.answers.probe import CheckpointFacts
from telechat_runtime.training.config import TrainingConfig
from telechat_runtime.training.data_checks import shard_problem
from telechat_runtime.training.document import Setting

_KEY = "auto_trans_ckpt"
_CONVERT = "cut it for this layout with telechat-run convert, and give the result as --checkpoint"


@dataclass(frozen=True)
class Start:
    """What a transformation depends on: the job's size, the folders its nodes share, and its own name in them."""

    cards: int
    nodes: int
    shared_paths: Sequence[str]
    job_id: str


def choose_transform(
    config: TrainingConfig,
    values: Mapping[str, Any],
    look: Optional[CheckpointFacts],
    start: Start,
    wish: Optional[str],
) -> Tuple[List[Setting], List[str]]:
    """Return settings and notes for a checkpoint as the nodes have it; `wish` is auto, offline, none or None to choose.

    Raises PreflightError for a checkpoint that can't be loaded that way.
    """
    is_cut = config.cuts_model and start.cards > 1
    if look is None or values.get("resume_training") or (wish is None and not is_cut):
        return [], []
    way, reason = (wish, "") if wish else _proposed(look, start)
    if way == "auto":
        _check_auto(look, values, start)
        settings = [Setting(_KEY, True)]
        if start.nodes > 1:
            settings += _shared_output(values, start)
    else:
        if way == "offline":
            _check_offline(look, start)
        settings = [Setting(_KEY, False)] if values.get(_KEY) else []
    notes = [f"checkpoint transform {way}: {reason}"] if reason else []
    return settings, notes


def _proposed(look: CheckpointFacts, start: Start) -> Tuple[str, str]:
    if look.kind == "ranks" and shard_problem(look, start.cards) is None:
        return "offline", f"the checkpoint is cut for {len(look.ranks)} ranks already, as many as the job has"
    return "auto", "the checkpoint is not cut for this job's cards"


def _check_auto(look: CheckpointFacts, values: Mapping[str, Any], start: Start) -> None:
    if look.kind == "ranks" and not values.get("src_strategy_path_or_dir"):
        problem = shard_problem(look, start.cards) or "it is cut already"
        raise PreflightError(
            f"the checkpoint can't be cut anew at the start without the strategy it was cut by: {problem}",
            next_step=f"{_CONVERT}; or --set src_strategy_path_or_dir=… with the strategy files",
        )
    if look.kind == "folder" and values.get("load_ckpt_format", "ckpt") == "ckpt":
        raise PreflightError(
            "the checkpoint's folder has no rank_N folders, and MindFormers takes no other",
            next_step="give the file in it, or the folder that holds rank_0",
        )


def _check_offline(look: CheckpointFacts, start: Start) -> None:
    problem = "it is not cut at all" if look.kind != "ranks" else shard_problem(look, start.cards)
    if problem:
        raise PreflightError(
            f"--checkpoint-transform offline takes a checkpoint that is cut for the job's cards, and {problem}",
            next_step=_CONVERT,
        )


def _shared_output(values: Mapping[str, Any], start: Start) -> List[Setting]:
    """MindFormers cuts on rank 0 and every rank reads the result in output_dir: all nodes have to see that folder."""
    if not start.shared_paths:
        raise PreflightError(
            "the weights are cut on one node and read on all, and the inventory names no folder that they share",
            next_step=f"set telechat_shared_paths; or {_CONVERT}",
        )
    output = str(values.get("output_dir", ""))
    if any(output == shared or output.startswith(shared.rstrip("/") + "/") for shared in start.shared_paths):
        return []
    return [
        Setting(
            "output_dir",
            f"{start.shared_paths[0].rstrip('/')}/{start.job_id}",
            reason="all nodes read the weights that rank 0 cuts into it",
        )
    ]
