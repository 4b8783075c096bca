# SPDX-License-Identifier: Apache-2.0
"""How much memory of a card a finetune takes: what is held for sure, and an estimate of the rest.

Formula and sources are in docs/layouts.md. Sizes are bytes; a token's share of a tensor is its bytes per token.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional, Sequence, Tuple

from telechat_runtime.training.layout import Layout
from telechat_runtime.training.model_shape import ModelShape

GIB = 1 << 30
# An Ascend 910B card has 64 GiB; the yaml files of TeleChat2 give at most 58 of them to MindSpore (max_device_memory).
CARD_BYTES = 64 * GIB
USABLE_BYTES = 58 * GIB
_FP32 = 4
_BF16 = 2
_ADAM_MOMENTS = 2 * _FP32
# The logits of a token are held as bfloat16, as float32 for the loss, and as the loss's gradient.
_LOGIT = _BF16 + _FP32 + _FP32
_SAVED_BY_CHECKPOINT = 2  # the weights are in output/checkpoint and again in output/checkpoint_network


@dataclass(frozen=True)
class Recompute:
    """How many layers of each stage are recomputed in the backward pass: whole, but for silu and mul, but for norms."""

    full: Tuple[int, ...]
    select: Tuple[int, ...]
    communication: Tuple[int, ...]


@dataclass(frozen=True)
class Training:
    """What of a training counts for memory; `lora_parameters` are those of one layer, None for a full finetune."""

    seq_length: int
    batch_size: int = 1
    parallel_optimizer: bool = True
    optimizer_shard: int = -1
    sequence_parallel: bool = True
    flash_attention: bool = True
    compressed_mask: bool = False
    lora_parameters: Optional[int] = None
    interleave: int = 1


@dataclass(frozen=True)
class StageMemory:
    """Bytes of a card of one pipeline stage."""

    weights: int
    optimizer: int
    gradients: int
    gathered: int
    activations: int
    mask: int
    logits: int

    @property
    def certain(self) -> int:
        """What is held all the time, whatever is recomputed: the job can't run in less."""
        return self.weights + self.optimizer + self.gradients + self.mask

    @property
    def total(self) -> int:
        """The estimate of all."""
        return self.certain + self.gathered + self.activations + self.logits

    def __str__(self) -> str:
        parts = ("weights", "optimizer", "gradients", "gathered", "activations", "mask", "logits")
        return ", ".join(f"{name} {getattr(self, name) / GIB:.1f}" for name in parts)


def card_memory(
    shape: ModelShape, layout: Layout, training: Training, layers: Sequence[int], recompute: Recompute
) -> StageMemory:
    """Return the memory of a card of the fullest stage; `layers` are those of each stage."""
    stages = (_Stage(shape, layout, training, tuple(layers), recompute, stage) for stage in range(layout.pp))
    return max((stage.memory() for stage in stages), key=lambda memory: memory.total)


def checkpoint_bytes(shape: ModelShape, layout: Layout, training: Training) -> int:
    """Return what all cards together write for one checkpoint: weights twice, the optimizer's moments once.

    Every card writes the part it holds, so copies of data parallel are written too, but for what the parallel optimizer
    cuts.
    """
    copies = layout.dp * layout.cp // _shards(layout, training)
    trained = shape.parameters
    added = 0
    if training.lora_parameters is not None:
        added = trained = shape.layers * training.lora_parameters
    return copies * (_SAVED_BY_CHECKPOINT * _FP32 * (shape.parameters + added) + _ADAM_MOMENTS * trained)


def _shards(layout: Layout, training: Training) -> int:
    if not training.parallel_optimizer:
        return 1
    copies = layout.dp * layout.cp
    return min(training.optimizer_shard, copies) if training.optimizer_shard > 0 else copies


@dataclass(frozen=True)
class _Stage:
    shape: ModelShape
    layout: Layout
    training: Training
    layers: Tuple[int, ...]
    recompute: Recompute
    stage: int

    def memory(self) -> StageMemory:
        shards = _shards(self.layout, self.training)
        expert_shards = min(shards, max(1, self.layout.dp // self.layout.ep)) if self.shape.experts > 1 else shards
        dense, experts = self._dense_parameters(), self._expert_parameters()
        trained, trained_experts = dense, experts
        added = 0.0
        if self.training.lora_parameters is not None:
            added = self._held * self.training.lora_parameters / self.layout.mp
            trained, trained_experts = added, 0.0
        # Accumulated over the micro batches of a pipeline, gradients stay whole (gradient_accumulation_shard: False).
        whole = self.layout.pp > 1
        gradients = _FP32 * (trained / (1 if whole else shards) + trained_experts / (1 if whole else expert_shards))
        return StageMemory(
            weights=round(_FP32 * ((dense + added) / shards + experts / expert_shards)),
            optimizer=round(_ADAM_MOMENTS * (trained / shards + trained_experts / expert_shards)),
            gradients=round(gradients),
            gathered=round(self._gathered(dense, experts, shards, expert_shards)),
            activations=round(self._activations()),
            mask=self._mask(),
            logits=round(self._logits()),
        )

    @property
    def _held(self) -> int:
        return self.layers[self.stage]

    @property
    def _is_last(self) -> bool:
        return self.stage == self.layout.pp - 1

    @property
    def _tokens(self) -> float:
        return self.training.batch_size * self.training.seq_length / self.layout.cp

    def _dense_parameters(self) -> float:
        ends = int(self.stage == 0) + int(self._is_last)
        layer = self.shape.attention_parameters + (self.shape.ffn_parameters if self.shape.experts == 1 else 0)
        return (self._held * layer + ends * self.shape.embedding_parameters) / self.layout.mp

    def _expert_parameters(self) -> float:
        if self.shape.experts == 1:
            return 0.0
        return self._held * self.shape.ffn_parameters / (self.layout.ep * self.layout.mp)

    def _gathered(self, dense: float, experts: float, shards: int, expert_shards: int) -> float:
        """Weights in the computing type: of all layers if the parallel optimizer gathers them, else of one."""
        one = max(1, self._held)
        gathered = dense if shards > 1 else dense / one
        gathered += experts if expert_shards > 1 else experts / one
        return _BF16 * gathered

    def _activations(self) -> float:
        kept = self._kept_layers()
        in_flight = self._micro_batches_in_flight()
        full = min(self.recompute.full[self.stage], self._held)
        # While a layer is recomputed or differentiated, all of its own activations are there.
        working = self._layer_bytes(selected=False, communication=False)
        return in_flight * (kept + full * self._boundary_bytes()) + working

    def _kept_layers(self) -> float:
        """Bytes that the layers that are not recomputed whole keep of one micro batch."""
        rest = self._held - min(self.recompute.full[self.stage], self._held)
        selected = min(rest, self.recompute.select[self.stage])
        communication = min(rest, self.recompute.communication[self.stage])
        plain = self._layer_bytes(selected=False, communication=False)
        less_select = plain - self._layer_bytes(selected=True, communication=False)
        less_communication = plain - self._layer_bytes(selected=False, communication=True)
        return rest * plain - selected * less_select - communication * less_communication

    def _boundary_bytes(self) -> float:
        return self._tokens * _FP32 * self.shape.hidden / self._sequence_parts()

    def _layer_bytes(self, *, selected: bool, communication: bool) -> float:
        shape, mp = self.shape, self.layout.mp
        parts = self._sequence_parts()
        residual = 2 * _FP32 * shape.hidden / parts
        normed = 2 * _BF16 * shape.hidden / (parts if communication else 1)
        attention = _BF16 * (2 * shape.hidden + 2 * shape.kv_size) / mp
        if not self.training.flash_attention:
            attention += (_FP32 + _BF16) * shape.heads * self.training.seq_length / mp
        held = 2 if selected else 4  # of w1, silu, w3, mul; silu and mul are what is selected
        ffn = float(_BF16 * held * shape.ffn)
        if shape.experts > 1:
            routed = shape.experts_per_token * shape.expert_capacity
            ffn = routed * (ffn + 2 * _BF16 * shape.hidden)
        return self._tokens * (residual + normed + attention + ffn / mp)

    def _sequence_parts(self) -> int:
        return self.layout.mp if self.training.sequence_parallel else 1

    def _micro_batches_in_flight(self) -> float:
        """Micro batches whose activations a stage holds at once (1F1B); with interleave in parts of a stage."""
        pp, interleave = self.layout.pp, self.training.interleave
        if pp == 1:
            return 1.0
        behind = pp - self.stage - 1
        if interleave == 1:
            return float(min(self.layout.micro_batch_num, behind + 1))
        parts = min(self.layout.micro_batch_num * interleave, 2 * behind + (interleave - 1) * pp + 1)
        return parts / interleave

    def _mask(self) -> int:
        """The causal mask of whole sequences, which no layout cuts: one for all, one with each sequence's padding."""
        if self.training.compressed_mask:
            return 0
        pairs = self.training.seq_length**2
        return pairs * (_BF16 + self.training.batch_size * (_BF16 + 1))

    def _logits(self) -> float:
        if not self._is_last:
            return 0.0
        return self._tokens * _LOGIT * self.shape.vocab / self.layout.mp
