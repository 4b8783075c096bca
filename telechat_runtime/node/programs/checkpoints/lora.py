# SPDX-License-Identifier: Apache-2.0
"""Which parameters of a checkpoint are LoRA's, and to which weight each pair belongs.

Two spellings are in use: mindpet's `wq.mindpet_delta_lora_a`/`_b` beside `wq.weight`, and MindFormers' own
`wq.lora_A.weight`/`lora_B.weight` beside `wq.weight`. The weight is (out, in), A is (rank, in), B is (out, rank).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import List, Mapping

from telechat_runtime.node.programs.checkpoints.conversion import ConversionError
from telechat_runtime.node.programs.checkpoints.shard_file import TensorHeader
from telechat_runtime.node.programs.checkpoints.strategy import is_weight

_MINDPET_A = "mindpet_delta_lora_a"
_MINDPET_B = "mindpet_delta_lora_b"
_OWN_A = ".lora_A"
_OWN_B = ".lora_B"


@dataclass(frozen=True)
class LoraPair:
    """Names of a weight and of its two low-rank matrices."""

    weight: str
    a: str
    b: str


def is_lora(name: str) -> bool:
    """Tell whether a parameter is one of LoRA's."""
    return "lora_" in name.lower()


def lora_pairs(headers: Mapping[str, TensorHeader]) -> List[LoraPair]:
    """Return all pairs of a whole checkpoint. Raises ConversionError when there is none, or one does not fit."""
    pairs = [_pair(name) for name in headers if is_weight(name) and (_MINDPET_A in name or _OWN_A in name)]
    if not pairs:
        raise ConversionError("the checkpoint holds no LoRA parameter: there is nothing to merge")
    unknown = {name for name in headers if is_weight(name) and is_lora(name)}
    unknown -= {name for pair in pairs for name in (pair.a, pair.b)}
    if unknown:
        raise ConversionError(f"{min(unknown)} belongs to no pair of LoRA matrices that this program knows")
    for pair in pairs:
        _check(pair, headers)
    return pairs


def merged_headers(headers: Mapping[str, TensorHeader]) -> Mapping[str, TensorHeader]:
    """Return what is left after the merge: the model's own weights, without the counters of the training."""
    return {name: header for name, header in headers.items() if is_weight(name) and not is_lora(name)}


def _pair(a: str) -> LoraPair:
    if _MINDPET_A in a:
        return LoraPair(weight=a.replace(_MINDPET_A, "weight"), a=a, b=a.replace(_MINDPET_A, _MINDPET_B))
    return LoraPair(weight=a.replace(_OWN_A, ""), a=a, b=a.replace(_OWN_A, _OWN_B))


def _check(pair: LoraPair, headers: Mapping[str, TensorHeader]) -> None:
    for name in (pair.weight, pair.b):
        if name not in headers:
            raise ConversionError(
                f"the checkpoint has {pair.a} but not {name}: it was saved with trainable parameters only, "
                "so the weights to merge into are not in it"
            )
    weight, a, b = headers[pair.weight].shape, headers[pair.a].shape, headers[pair.b].shape
    matrices = len(weight) == len(a) == len(b) == len(("out", "in"))
    if not matrices or weight != (b[0], a[1]) or a[0] != b[1]:
        raise ConversionError(f"{pair.weight} {weight} is not of the shape of {pair.b} {b} times {pair.a} {a}")
