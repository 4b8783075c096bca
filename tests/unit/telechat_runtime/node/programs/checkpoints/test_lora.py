# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from telechat_runtime.node.programs.checkpoints.conversion import ConversionError
from telechat_runtime.node.programs.checkpoints.lora import LoraPair, lora_pairs, merged_headers
from telechat_runtime.node.programs.checkpoints.shard_file import TensorHeader


def headers(**shapes: tuple[int, ...]) -> dict[str, TensorHeader]:
    return {name.replace("__", "."): TensorHeader("Float32", shape) for name, shape in shapes.items()}


MINDPET = headers(wq__weight=(6, 4), wq__mindpet_delta_lora_a=(2, 4), wq__mindpet_delta_lora_b=(6, 2))
OWN = headers(wq__weight=(6, 4), wq__lora_A__weight=(2, 4), wq__lora_B__weight=(6, 2))


def test_both_spellings() -> None:
    assert lora_pairs(MINDPET) == [
        LoraPair(weight="wq.weight", a="wq.mindpet_delta_lora_a", b="wq.mindpet_delta_lora_b")
    ]
    assert lora_pairs(OWN) == [LoraPair(weight="wq.weight", a="wq.lora_A.weight", b="wq.lora_B.weight")]


def test_after_the_merge_only_the_models_weights_are_left() -> None:
    more = headers(adam_m__wq__mindpet_delta_lora_a=(2, 4), epoch_num=(), global_step=(1,), norm__weight=(1,))
    assert sorted(merged_headers({**MINDPET, **more})) == ["norm.weight", "wq.weight"]
    assert len(lora_pairs({**MINDPET, **more})) == 1


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (headers(wq__weight=(6, 4)), "no LoRA parameter: there is nothing to merge"),
        (
            {name: header for name, header in MINDPET.items() if name != "wq.weight"},
            "has wq.mindpet_delta_lora_a but not wq.weight: it was saved with trainable parameters only",
        ),
        ({**MINDPET, **headers(wq__mindpet_delta_lora_b=(4, 2))}, "is not of the shape of"),
        ({**MINDPET, **headers(wq__mindpet_delta_lora_a=(3, 4))}, "is not of the shape of"),
        ({**MINDPET, **headers(wk__lora_magnitude=(2, 4))}, "wk.lora_magnitude belongs to no pair"),
    ],
)
def test_what_can_not_be_merged(changed: dict[str, TensorHeader], message: str) -> None:
    with pytest.raises(ConversionError, match=message):
        lora_pairs(changed)
