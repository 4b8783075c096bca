# SPDX-License-Identifier: Apache-2.0
"""The sizes of a model that the arithmetic of a job needs, and how many parameters follow from them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Dict, Optional, Tuple

from telechat_runtime.training.yaml_view import YamlView

_NORMS_PER_LAYER = 2


@dataclass(frozen=True)
class ModelShape:
    """A decoder with SwiGLU feed-forward; one expert means a dense model, `expert_capacity` pads an expert's tokens."""

    layers: int
    hidden: int
    heads: int
    kv_heads: int
    ffn: int
    vocab: int
    experts: int = 1
    experts_per_token: int = 1
    expert_capacity: float = 1.0

    @property
    def kv_size(self) -> int:
        """Width of the keys of one token; its values are as wide."""
        return self.kv_heads * (self.hidden // self.heads)

    @property
    def linears(self) -> Dict[str, Tuple[int, int]]:
        """The linear layers of one decoder layer: name in the checkpoint, inputs, outputs (one expert's, if any)."""
        return {
            "attention.wq": (self.hidden, self.hidden),
            "attention.wk_v": (self.hidden, 2 * self.kv_size),
            "attention.wo": (self.hidden, self.hidden),
            "feed_forward.w1": (self.hidden, self.ffn),
            "feed_forward.w3": (self.hidden, self.ffn),
            "feed_forward.w2": (self.ffn, self.hidden),
        }

    @property
    def attention_parameters(self) -> int:
        """Parameters of one layer outside its feed-forward: attention, its output's bias, norms, router of experts."""
        router = self.hidden * self.experts if self.experts > 1 else 0
        bias_and_norms = (1 + _NORMS_PER_LAYER) * self.hidden
        return self._linear("attention") + bias_and_norms + router

    @property
    def ffn_parameters(self) -> int:
        """Parameters of one layer's feed-forward, all experts together."""
        return self.experts * (self._linear("feed_forward") + self.hidden)

    @property
    def embedding_parameters(self) -> int:
        """Parameters of the embedding; the head, which is not tied to it, has as many."""
        return self.vocab * self.hidden

    @property
    def parameters(self) -> int:
        """All parameters of the model."""
        layers = self.layers * (self.attention_parameters + self.ffn_parameters)
        return layers + 2 * self.embedding_parameters + self.hidden

    def lora_parameters(self, rank: int, target_modules: str) -> int:
        """Return the parameters that LoRA adds to one layer: two matrices for each linear that the pattern matches.

        MindFormers matches the pattern from the start of a cell's whole name, as model.layers.0.attention.wq.
        """
        pattern = re.compile(target_modules)
        return sum(
            rank * (inputs + outputs)
            for name, (inputs, outputs) in self.linears.items()
            if pattern.match(f"model.layers.0.{name}")
        )

    def _linear(self, part: str) -> int:
        return sum(ins * outs for name, (ins, outs) in self.linears.items() if name.startswith(part))


# As the finetune yaml of each model has them: Tele-AI/TeleChat2, mindformers-telechat/research/telechat2/.
SHAPES: Dict[str, ModelShape] = {
    "7b": ModelShape(layers=30, hidden=4096, heads=32, kv_heads=32, ffn=12288, vocab=131072),
    "35b": ModelShape(layers=64, hidden=6144, heads=48, kv_heads=48, ffn=20480, vocab=131072),
    "115b": ModelShape(layers=96, hidden=8192, heads=64, kv_heads=8, ffn=40960, vocab=131072),
    "39b-a12b": ModelShape(
        layers=30, hidden=4096, heads=32, kv_heads=32, ffn=6144, vocab=131072,
        experts=16, experts_per_token=4, expert_capacity=1.2,
    ),
}  # fmt: skip


def shape_of(model_config: YamlView, moe_config: YamlView) -> Optional[ModelShape]:
    """Read the shape from the sections of a MindFormers yaml; None when the sizes that make it are not all there.

    Raises ConfigError for a size that is not one.
    """
    names = ("num_layers", "hidden_size", "num_heads", "intermediate_size", "vocab_size")
    sizes = [size for size in map(model_config.count, names) if size is not None]
    if len(sizes) < len(names):
        return None
    layers, hidden, heads, ffn, vocab = sizes
    return ModelShape(
        layers=layers,
        hidden=hidden,
        heads=heads,
        kv_heads=model_config.count("n_kv_heads") or heads,
        ffn=ffn,
        vocab=vocab,
        experts=moe_config.count("expert_num") or 1,
        experts_per_token=moe_config.count("num_experts_chosen") or 1,
        expert_capacity=max(1.0, moe_config.number("capacity_factor") or 0.0),
    )
