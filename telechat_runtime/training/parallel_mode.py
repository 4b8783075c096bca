# SPDX-License-Identifier: Apache-2.0
"""What MindFormers makes of `parallel.parallel_mode`: which modes cut a model over the cards.

The values are those of PARALLEL_MODE in mindformers/tools/utils.py (1.8.0). Only in semi-auto and auto parallel do
parallel_config's sizes count: for all other modes mindformers/trainer/base_trainer.py sets each of them to 1, and
mindformers/modules/transformer/op_parallel_config.py does not check them. Hybrid parallel leaves the cut to the model's
own code, and TeleChat's has none; stand-alone and data parallel put the whole model on each card. Manual parallel is
stand-alone with inference models that cut themselves by model_parallel (mindformers/core/context/parallel.py).
"""

from __future__ import annotations

from enum import Enum
from typing import Any, Mapping

from telechat_runtime.errors import ConfigError
from telechat_runtime.training.yaml_view import YamlView

KEY = "parallel.parallel_mode"


class ParallelMode(Enum):
    """A parallel mode, by its name in MindFormers."""

    DATA = "data_parallel"
    SEMI_AUTO = "semi_auto_parallel"
    AUTO = "auto_parallel"
    HYBRID = "hybrid_parallel"
    STAND_ALONE = "stand_alone"
    MANUAL = "manual_parallel"

    @property
    def cuts_model(self) -> bool:
        """Whether each card of several holds a part of the model, and strategy files say which."""
        return self in {ParallelMode.SEMI_AUTO, ParallelMode.AUTO}

    @property
    def cuts_inference(self) -> bool:
        """Whether a predict by that mode cuts the model; manual parallel does so without strategy files."""
        return self.cuts_model or self is ParallelMode.MANUAL

    @property
    def fixes_layout(self) -> bool:
        """Whether the sizes of parallel_config have to make up the number of cards; auto parallel finds its own."""
        return self is ParallelMode.SEMI_AUTO


_BY_VALUE: Mapping[str, ParallelMode] = {
    "0": ParallelMode.DATA,
    "1": ParallelMode.SEMI_AUTO,
    "2": ParallelMode.AUTO,
    "3": ParallelMode.HYBRID,
    **{mode.value: mode for mode in ParallelMode},
}


def parallel_mode(document: Mapping[str, Any]) -> ParallelMode:
    """Return the mode that the yaml sets, data parallel when it sets none. Raises ConfigError for any other value."""
    value = YamlView(document).get(KEY)
    if value is None:
        return ParallelMode.DATA
    mode = _BY_VALUE.get("" if isinstance(value, bool) else str(value).lower())
    if mode is None:
        raise ConfigError(
            f"{KEY} is {value!r}, which MindFormers does not know",
            next_step="set 0 (data parallel), 1 (semi-auto parallel), 2 (auto parallel), 3 (hybrid parallel) "
            "or STAND_ALONE",
        )
    return mode


def is_model_cut(document: Mapping[str, Any]) -> bool:
    """Return whether a job by that yaml cuts the model over its cards, and so saves strategy files."""
    return YamlView(document).flag("use_parallel") and parallel_mode(document).cuts_model
