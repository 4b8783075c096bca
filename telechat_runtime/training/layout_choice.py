# SPDX-License-Identifier: Apache-2.0
"""Chooses the layout of a finetune: what the user asks for, else the yaml's own if it fits, else a proposal."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Dict, Iterator, List, Mapping, Sequence, Tuple

from telechat_runtime.errors import ConfigError
from telechat_runtime.training.config import RECOMPUTE_LISTS, TrainingConfig
from telechat_runtime.training.document import Setting
from telechat_runtime.training.layout import NAMES, Job, Layout, problems
from telechat_runtime.training.layout_proposal import Proposal, cards_that_would_do, propose_layout, why_none
from telechat_runtime.training.memory import CARD_BYTES, GIB, USABLE_BYTES
from telechat_runtime.training.pipeline import Pipeline, count_problem, new_offset, offset_problem

_OFFSET = "model.model_config.offset"
_COMPRESSED_MASK = "model.model_config.use_attn_mask_compression"
_LONG_SEQUENCE = 32768  # from here on a mask for every pair of tokens takes gigabytes
_INTERLEAVE = "model.model_config.pp_interleave_num"


@dataclass(frozen=True)
class ChosenLayout:
    """The layout of a job, what it changes in the yaml, and notes on both for the reader of the plan."""

    layout: Layout
    settings: Tuple[Setting, ...]
    notes: Tuple[str, ...]


def choose_layout(
    config: TrainingConfig, job: Job, asked: Mapping[str, int], *, may_propose: bool, kept: Sequence[str] = ()
) -> ChosenLayout:
    """Return the layout for the job. Raises ConfigError with every problem, and the layout that would do.

    `asked` are the fields of Layout that the user gave, by option or --set; with `may_propose` the others may change.
    `kept` are keys of the yaml that the user set by --set: their values are judged, never made anew.
    """
    if not config.mode.fixes_layout:
        return _uncut(config, asked)
    if job.cards == 1 and not asked:
        return _alone(config, job)
    wished = replace(config.layout, **dict(asked))
    if not config.has_layout and not asked:
        return ChosenLayout(wished, (), ())
    found = [*problems(wished, job), *_full_memory(config, wished)]
    if not found:
        chosen, notes = wished, _memory_notes(config, wished)
    elif may_propose or asked:
        proposal = _proposal(config, job, asked, found)
        chosen, notes = proposal.layout, [f"layout {proposal.layout}: {'; '.join(proposal.reasons)}"]
    else:
        raise ConfigError("\n".join(found), next_step=_advice(config, job))
    return ChosenLayout(chosen, tuple(_settings(config, chosen, kept)), tuple(notes))


def check_lists(config: TrainingConfig) -> None:
    """Raise ConfigError when a list of the yaml does not suit its pipeline; each message names a value that does."""
    if not config.cuts_model or config.shape is None:
        return
    pipeline = Pipeline(layers=config.shape.layers, stages=config.layout.pp, interleave=config.interleave)
    problem = offset_problem(config.offset, pipeline)
    if problem:
        raise ConfigError(problem, next_step=f"--set {_OFFSET}='{new_offset(pipeline)}' fits")
    for name in RECOMPUTE_LISTS:
        value = config.recompute.get(name, False)
        for each in value.values() if isinstance(value, dict) else [value]:
            problem = count_problem(name, each, pipeline)
            if problem:
                raise ConfigError(
                    problem, next_step=f"give recompute_config.{name} one number for each stage, or True or False"
                )


def _uncut(config: TrainingConfig, asked: Mapping[str, int]) -> ChosenLayout:
    cuts = [f"{option} {asked[name]}" for name, _, option in NAMES if asked.get(name, 1) > 1 and name != "dp"]
    if cuts:
        raise ConfigError(
            f"{', '.join(cuts)}: the yaml's parallel_mode is not semi-auto parallel but {config.mode.value}",
            next_step="--set parallel.parallel_mode=1, which needs NPUs",
        )
    return ChosenLayout(config.layout, (), ())


def _alone(config: TrainingConfig, job: Job) -> ChosenLayout:
    """One worker does not cut: MindFormers takes no notice of parallel_config then."""
    found = [*_full_memory(config, Layout())]
    if found:
        raise ConfigError("\n".join(found), next_step=_advice(config, job))
    return ChosenLayout(Layout(), (), ())


def _proposal(config: TrainingConfig, job: Job, asked: Mapping[str, int], found: Sequence[str]) -> Proposal:
    proposal = propose_layout(config, job, asked)
    if proposal is not None:
        return proposal
    why = why_none(config, job, asked)
    given = "; numbers that make a whole layout are taken, the estimate is a note then" if why.is_too_large else ""
    raise ConfigError("\n".join(dict.fromkeys([*found, why.reason])), next_step=f"{_advice(config, job)}{given}")


def _advice(config: TrainingConfig, job: Job) -> str:
    proposal = propose_layout(config, job)
    if proposal is not None:
        return f"{proposal.layout.options()} fits: {'; '.join(proposal.reasons)}"
    cards = cards_that_would_do(config, job)
    more = f"{cards} cards would do; or " if cards else ""
    if (config.seq_length or 0) > _LONG_SEQUENCE and not config.training.compressed_mask:
        more += f"--set +{_COMPRESSED_MASK}=True, "
    return f"{more}a shorter --seq-length, a smaller --batch-size, or --method lora"


def _full_memory(config: TrainingConfig, layout: Layout) -> Iterator[str]:
    memory = config.memory(layout)
    if memory is not None and memory.certain > CARD_BYTES:
        yield (
            f"weights, optimizer, gradients, mask alone take {memory.certain / GIB:.1f} GiB of a card with {layout}, "
            f"and it has {CARD_BYTES // GIB}"
        )


def _memory_notes(config: TrainingConfig, layout: Layout) -> List[str]:
    memory = config.memory(layout)
    if memory is None or memory.total <= USABLE_BYTES:
        return []
    taken = f"{memory.total / GIB:.1f} GiB ({memory})"
    given = f"the {USABLE_BYTES // GIB} that MindSpore gets of it"
    return [
        f"layout {layout}: the fullest card takes an estimated {taken}, more than {given}; it may run out of memory"
    ]


def _settings(config: TrainingConfig, layout: Layout, kept: Sequence[str]) -> Iterator[Setting]:
    for name, key, _ in NAMES:
        value = getattr(layout, name)
        if value != getattr(config.layout, name):
            yield Setting(f"parallel_config.{key}", value)
    if config.shape is None or layout.pp == config.layout.pp:
        return
    reason = f"made for {layout.pp} stages, the yaml's for {config.layout.pp}"
    for key, value in _stage_values(config, layout).items():
        if key not in kept:
            yield Setting(key, value, reason=reason)


def _stage_values(config: TrainingConfig, layout: Layout) -> Dict[str, Any]:
    """Return the values that differ because the pipeline does."""
    stages = config.stages(layout)
    values: Dict[str, Any] = {}
    if stages.pipeline.interleave != config.interleave:
        values[_INTERLEAVE] = stages.pipeline.interleave
    if layout.pp == 1 and config.interleave > 1:
        values["parallel.pipeline_config.pipeline_interleave"] = False
    if stages.offset != config.offset:
        values[_OFFSET] = stages.offset
    for name in RECOMPUTE_LISTS:
        if stages.recompute.get(name) != config.recompute.get(name):
            values[f"recompute_config.{name}"] = stages.recompute[name]
    return values
