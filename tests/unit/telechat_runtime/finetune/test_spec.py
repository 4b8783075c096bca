# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from telechat_runtime.errors import SpecError
from telechat_runtime.finetune.spec import FinetuneSpec


@pytest.mark.parametrize("option", ["dataset", "checkpoint"])
def test_relative_paths_are_refused(option: str) -> None:
    with pytest.raises(SpecError, match=f"--{option} 'data' is a relative path"):
        FinetuneSpec(**{option: "data"})


def test_the_numbers_of_the_layout_that_were_given() -> None:
    assert FinetuneSpec(dp=2, cp=4, micro_batch_num=8).layout == {"dp": 2, "cp": 4, "micro_batch_num": 8}
    assert FinetuneSpec().layout == {}


def test_a_sequence_beyond_the_longest_with_a_known_theta() -> None:
    with pytest.raises(SpecError, match="--seq-length 262145 is longer than 262144") as caught:
        FinetuneSpec(seq_length=262145)
    assert "theta" in caught.value.next_step


@pytest.mark.parametrize("transform", ["auto", "offline"])
def test_a_transformation_of_nothing(transform: str) -> None:
    with pytest.raises(SpecError, match=f"--checkpoint-transform {transform} has nothing to work on"):
        FinetuneSpec(checkpoint_transform=transform)
    assert FinetuneSpec(checkpoint_transform="none")


@pytest.mark.parametrize(("text", "message"), [("{", "the file is no JSON"), ("[1]", "holds no JSON object")])
def test_communication_settings_that_are_none(text: str, message: str) -> None:
    with pytest.raises(SpecError, match=f"--flash-attention-load-balance: .*{message}"):
        FinetuneSpec(speed_up=text)
