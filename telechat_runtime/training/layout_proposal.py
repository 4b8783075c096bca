# SPDX-License-Identifier: Apache-2.0
"""Proposes how to cut a model over the cards at hand, and says why."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Iterator, List, Mapping, Optional, Tuple

from telechat_runtime.training.config import TrainingConfig
from telechat_runtime.training.layout import Job, Layout, problems
from telechat_runtime.training.memory import GIB, USABLE_BYTES, StageMemory

# With four micro batches a stage, a pipeline of many stages idles a fifth of its time.
_MICRO_BATCHES_PER_STAGE = 4
# Below this, the attention of one sequence needs no cutting over cards.
_LONG_SEQUENCE = 32768
_MOST_CARDS = 4096


@dataclass(frozen=True)
class Proposal:
    """A layout that obeys all rules and fits, the memory it takes, and why it was chosen."""

    layout: Layout
    memory: Optional[StageMemory]
    reasons: Tuple[str, ...]


@dataclass(frozen=True)
class NoLayout:
    """Why there is no proposal; `is_too_large` when layouts obey the rules, and none is estimated to fit a card."""

    reason: str
    is_too_large: bool


def propose_layout(config: TrainingConfig, job: Job, fixed: Optional[Mapping[str, int]] = None) -> Optional[Proposal]:
    """Return the best layout for the job's cards that keeps the `fixed` fields of Layout; None when there is none.

    First choice is the yaml's own cut, which its authors ran, with another data parallel. Else the smallest cut that
    fits: each cut of a layer costs communication, each stage of a pipeline idle time.
    """
    kept = dict(fixed or {})
    own_cut = _own_cut(config, job, kept)
    for layout in ([own_cut] if own_cut else []) + sorted(_candidates(config, job, kept), key=_cost):
        if problems(layout, job):
            continue
        memory = config.memory(layout)
        if memory is None or memory.total <= USABLE_BYTES:
            return Proposal(layout, memory, tuple(_reasons(config, layout, memory, is_own=layout is own_cut)))
    return None


def cards_that_would_do(config: TrainingConfig, job: Job) -> Optional[int]:
    """Return the smallest number of cards, by doubling those at hand, for which there is a layout."""
    cards = job.cards * 2
    while cards <= _MOST_CARDS:
        if propose_layout(config, replace(job, cards=cards)):
            return cards
        cards *= 2
    return None


def why_none(config: TrainingConfig, job: Job, fixed: Optional[Mapping[str, int]] = None) -> NoLayout:
    """Return why there is no proposal: the smallest memory that a layout takes, or that no layout obeys the rules."""
    legal = [layout for layout in _candidates(config, job, dict(fixed or {})) if not problems(layout, job)]
    sizes = [(memory.total, layout) for layout in legal for memory in [config.memory(layout)] if memory is not None]
    if not sizes:
        return NoLayout(f"no cut of this model over {job.cards} cards obeys the rules", is_too_large=False)
    total, layout = min(sizes, key=lambda size: size[0])
    reason = (
        f"no cut of this model over {job.cards} cards fits a card: the smallest, {layout}, takes an estimated "
        f"{total / GIB:.1f} GiB of {USABLE_BYTES // GIB}"
    )
    return NoLayout(reason, is_too_large=True)


def _own_cut(config: TrainingConfig, job: Job, fixed: Mapping[str, int]) -> Optional[Layout]:
    own = config.layout
    cut = own.mp * own.pp * own.cp
    if not config.has_layout or job.cards % cut:
        return None
    layout = replace(own, dp=job.cards // cut)
    return layout if all(getattr(layout, name) == value for name, value in fixed.items()) else None


def _candidates(config: TrainingConfig, job: Job, fixed: Mapping[str, int]) -> Iterator[Layout]:
    for mp in _choices("mp", _divisors(job.cards), fixed):
        for pp in _choices("pp", _divisors(job.cards), fixed):
            for cp in _choices("cp", _context_parallel(config, job), fixed):
                if job.cards % (mp * pp * cp):
                    continue
                dp = job.cards // (mp * pp * cp)
                if fixed.get("dp", dp) != dp:
                    continue
                for ep in _choices("ep", _expert_parallel(config), fixed):
                    micro = fixed.get("micro_batch_num", _micro_batch_num(config, pp))
                    yield Layout(dp=dp, mp=mp, pp=pp, cp=cp, ep=ep, micro_batch_num=micro)


def _choices(name: str, values: List[int], fixed: Mapping[str, int]) -> List[int]:
    return [fixed[name]] if name in fixed else values


def _context_parallel(config: TrainingConfig, job: Job) -> List[int]:
    if (job.seq_length or 0) < _LONG_SEQUENCE:
        return [config.layout.cp] if config.layout.cp == 1 else [1, config.layout.cp]
    return _divisors(job.cards)


def _expert_parallel(config: TrainingConfig) -> List[int]:
    return _divisors(config.shape.experts) if config.shape else [config.layout.ep]


def _micro_batch_num(config: TrainingConfig, pp: int) -> int:
    own = config.layout.micro_batch_num
    return own if own >= pp else _MICRO_BATCHES_PER_STAGE * pp


def _divisors(number: int) -> List[int]:
    return [divisor for divisor in range(1, number + 1) if number % divisor == 0]


def _cost(layout: Layout) -> Tuple[int, ...]:
    return (layout.mp * layout.pp * layout.cp, layout.cp, layout.pp, layout.ep)


def _reasons(config: TrainingConfig, layout: Layout, memory: Optional[StageMemory], *, is_own: bool) -> Iterator[str]:
    if is_own:
        yield f"it is the yaml's own cut (mp {layout.mp}, pp {layout.pp}, cp {layout.cp}), data_parallel {layout.dp}"
    else:
        yield "it is the smallest cut that obeys the rules and fits a card; of equals the one with fewer stages"
    if memory is not None:
        yield f"the fullest card takes an estimated {memory.total / GIB:.1f} GiB of {USABLE_BYTES // GIB}"
    if layout.pp > 1 and layout.micro_batch_num != config.layout.micro_batch_num:
        yield f"{_MICRO_BATCHES_PER_STAGE} micro batches a stage keep a pipeline busy most of the time"
