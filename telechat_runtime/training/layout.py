# SPDX-License-Identifier: Apache-2.0
"""How a model is cut over the cards of a job, and the rules that a cut has to obey.

docs/layouts.md tells where MindFormers has each rule: what is refused here would fail on every card, minutes later.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Iterator, List, Optional, Sequence, Tuple

from telechat_runtime.errors import ConfigError
from telechat_runtime.training.model_shape import ModelShape

# Field of Layout, key of the yaml's parallel_config, option of the command line.
NAMES: Tuple[Tuple[str, str, str], ...] = (
    ("dp", "data_parallel", "--dp"),
    ("mp", "model_parallel", "--mp"),
    ("pp", "pipeline_stage", "--pp"),
    ("cp", "context_parallel", "--cp"),
    ("ep", "expert_parallel", "--ep"),
    ("micro_batch_num", "micro_batch_num", "--micro-batch-num"),
)


@dataclass(frozen=True)
class Layout:
    """A cut: data, model, pipeline, context and expert parallel, and the micro batches of a pipeline.

    Expert parallel takes no cards of its own: it spreads experts over those of data parallel.
    """

    dp: int = 1
    mp: int = 1
    pp: int = 1
    cp: int = 1
    ep: int = 1
    micro_batch_num: int = 1

    @property
    def cards(self) -> int:
        """How many cards the cut takes."""
        return self.dp * self.mp * self.pp * self.cp

    def options(self) -> str:
        """Write the cut as options of the command line; those of 1 that mean nothing are left out."""
        shown = {"dp", "mp", "pp"}
        words: List[str] = []
        for name, _, option in NAMES:
            value = getattr(self, name)
            if name in shown or value > 1:
                words.append(f"{option} {value}")
        return " ".join(words)

    def __str__(self) -> str:
        return " ".join(f"{name} {getattr(self, name)}" for name, _, _ in NAMES if name != "ep" or self.ep > 1)


@dataclass(frozen=True)
class Job:
    """What a layout is judged against; `sequence_parallel` is parallel_config.use_seq_parallel."""

    shape: Optional[ModelShape]
    cards: int
    cards_per_node: int
    seq_length: Optional[int]
    sequence_parallel: bool = True
    fine_grain_interleave: int = 1
    load_balance: bool = False


def problems(layout: Layout, job: Job) -> List[str]:
    """Return what forbids that layout, one sentence with values and rule each; empty when it can run."""
    found = [*_card_problems(layout, job), *_batch_problems(layout)]
    if job.shape is not None:
        found += [*_shape_problems(layout, job.shape), *_expert_problems(layout, job.shape)]
    if job.seq_length is not None:
        found += _sequence_problems(layout, job, job.seq_length)
    return found


def check(layout: Layout, job: Job, *, next_step: str) -> None:
    """Raise ConfigError with every problem of the layout."""
    found = problems(layout, job)
    if found:
        raise ConfigError("\n".join(found), next_step=next_step)


def _card_problems(layout: Layout, job: Job) -> Iterator[str]:
    if layout.cards != job.cards:
        yield (
            f"parallel_config is data_parallel {layout.dp} x model_parallel {layout.mp} x pipeline_stage {layout.pp}"
            f" x context_parallel {layout.cp} = {layout.cards}, but the job has {job.cards} workers"
        )
    if layout.mp > job.cards_per_node:
        yield (
            f"model_parallel {layout.mp} is more than the {job.cards_per_node} cards of a node: "
            "each layer would be gathered over the network between servers"
        )


def _batch_problems(layout: Layout) -> Iterator[str]:
    if layout.pp > 1 and layout.micro_batch_num < layout.pp:
        yield (
            f"micro_batch_num {layout.micro_batch_num} is less than pipeline_stage {layout.pp}: "
            "each stage needs a micro batch to work on"
        )


def _shape_problems(layout: Layout, shape: ModelShape) -> Iterator[str]:
    cut: Sequence[Tuple[str, int]] = (
        ("num_heads", shape.heads),
        ("n_kv_heads", shape.kv_heads),
        ("hidden_size", shape.hidden),
        ("vocab_size", shape.vocab),
        *((("intermediate_size", shape.ffn),) if shape.experts == 1 else ()),
    )
    if shape.hidden % shape.heads:
        yield f"hidden_size {shape.hidden} is not divisible by num_heads {shape.heads}"
    for name, size in cut:
        if size % layout.mp:
            yield f"{name} {size} is not divisible by model_parallel {layout.mp}"
    if layout.pp > shape.layers:
        yield f"pipeline_stage {layout.pp} is more than the {shape.layers} layers of the model: a stage would be empty"


def _expert_problems(layout: Layout, shape: ModelShape) -> Iterator[str]:
    if shape.experts == 1:
        if layout.ep > 1:
            yield f"expert_parallel {layout.ep} is for models with experts, and this one has none"
        return
    if layout.dp % layout.ep:
        yield f"data_parallel {layout.dp} is not divisible by expert_parallel {layout.ep}"
    if shape.experts % (layout.ep * layout.mp):
        yield (
            f"{shape.experts} experts are not divisible by expert_parallel {layout.ep} x model_parallel {layout.mp}: "
            "whole experts go to the cards of both"
        )


def _sequence_problems(layout: Layout, job: Job, seq_length: int) -> Iterator[str]:
    halves = 2 if job.load_balance else 1
    if layout.cp > 1 and seq_length % (halves * layout.cp):
        balance = ", twice that with load balance," if job.load_balance else ""
        yield f"seq_length {seq_length} is not divisible by context_parallel {layout.cp}{balance}"
        return
    if layout.mp == 1 or not job.sequence_parallel:
        return
    parts = layout.cp * layout.mp * max(1, job.fine_grain_interleave)
    if seq_length % parts:
        why = "context_parallel x model_parallel x fine_grain_interleave"
        yield f"seq_length {seq_length} is not divisible by {parts} ({why}), as use_seq_parallel asks"
