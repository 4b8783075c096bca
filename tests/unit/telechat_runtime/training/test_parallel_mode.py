# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any

import pytest

from telechat_runtime.errors import ConfigError
from telechat_runtime.training.config import read_training_config
from telechat_runtime.training.parallel_mode import ParallelMode, is_model_cut, parallel_mode

# parallel_mode, the mode, and whether it cuts a training, cuts a predict, and fixes the layout
TABLE = [
    (None, ParallelMode.DATA, False, False, False),
    (0, ParallelMode.DATA, False, False, False),
    ("DATA_PARALLEL", ParallelMode.DATA, False, False, False),
    (1, ParallelMode.SEMI_AUTO, True, True, True),
    ("1", ParallelMode.SEMI_AUTO, True, True, True),
    ("SEMI_AUTO_PARALLEL", ParallelMode.SEMI_AUTO, True, True, True),
    ("semi_auto_parallel", ParallelMode.SEMI_AUTO, True, True, True),
    (2, ParallelMode.AUTO, True, True, False),
    ("AUTO_PARALLEL", ParallelMode.AUTO, True, True, False),
    (3, ParallelMode.HYBRID, False, False, False),
    ("HYBRID_PARALLEL", ParallelMode.HYBRID, False, False, False),
    ("STAND_ALONE", ParallelMode.STAND_ALONE, False, False, False),
    ("MANUAL_PARALLEL", ParallelMode.MANUAL, False, True, False),
]


@pytest.mark.parametrize(("value", "mode", "cuts", "cuts_inference", "fixes"), TABLE)
def test_what_a_mode_cuts(value: Any, mode: ParallelMode, *, cuts: bool, cuts_inference: bool, fixes: bool) -> None:
    document = {"use_parallel": True, "parallel": {"parallel_mode": value}}
    assert parallel_mode(document) is mode
    assert (mode.cuts_model, mode.cuts_inference, mode.fixes_layout) == (cuts, cuts_inference, fixes)
    assert is_model_cut(document) is read_training_config(document).cuts_model is cuts
    assert not is_model_cut({**document, "use_parallel": False})


@pytest.mark.parametrize("value", [4, -1, True, "", "semi", [1]])
def test_a_mode_that_mindformers_does_not_know(value: Any) -> None:
    with pytest.raises(ConfigError, match=r"parallel\.parallel_mode is .*, which MindFormers does not know") as caught:
        parallel_mode({"parallel": {"parallel_mode": value}})
    assert "1 (semi-auto parallel)" in caught.value.next_step
