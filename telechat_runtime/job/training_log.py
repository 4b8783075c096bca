# SPDX-License-Identifier: Apache-2.0
"""Reads the progress lines that MindFormers prints (mindformers/core/callback/callback.py, 1.2 to 1.8).

One step is two lines; in sink mode the loss stands alone instead of as [loss/mean]:

    … { Epoch:[  1/  2], step:[    5/ 1000], loss:[2.345/2.400], per_step_time: 1234ms, lr: 1e-05, overflow cond: …
    …    0.5% |█         | 0.81033 samples/s/p  0:12:34 }
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Optional, Union

_NUMBER = r"[-+]?(?:[0-9]+\.?[0-9]*(?:[eE][-+]?[0-9]+)?|nan|inf)"
_STEP = re.compile(
    r"\{ Epoch:\[\s*(?P<epoch>\d+)/\s*(?P<epochs>\d+)\],\s+step:\[\s*(?P<step>\d+)/\s*(?P<steps>\d+)\],\s+"
    rf"loss:\s*\[?\s*(?P<loss>{_NUMBER})(?:\s*/\s*{_NUMBER}\s*\])?,\s+"
    r"per_step_time:\s*(?P<ms>\d+)ms"
    rf"(?:,\s+lr:\s*(?P<lr>{_NUMBER}))?"
)
_SPEED = re.compile(r"\|\s+(?P<samples>[0-9]+(?:\.[0-9]+)?) samples/s/p\s+(?P<eta>(?:\d+ days?, )?\d+:\d\d:\d\d) \}")


@dataclass(frozen=True)
class Step:
    """One training step; `step` counts within the epoch, `per_step_ms` is in milliseconds."""

    epoch: int
    epochs: int
    step: int
    steps_per_epoch: int
    loss: float
    per_step_ms: int
    learning_rate: Optional[float]

    @property
    def number(self) -> int:
        """The step's number, counted over all epochs from 1."""
        return (self.epoch - 1) * self.steps_per_epoch + self.step

    @property
    def total(self) -> int:
        """How many steps the whole run has."""
        return self.epochs * self.steps_per_epoch

    @property
    def diverged(self) -> bool:
        """Tell whether the loss is no number any more."""
        return not math.isfinite(self.loss)


@dataclass(frozen=True)
class Speed:
    """How fast the training goes: samples per second and NPU, and the time left as MindFormers writes it."""

    samples_per_second: float
    eta: str


def parse_line(line: str) -> Optional[Union[Step, Speed]]:
    """Return what a progress line says, or None for any other line."""
    found = _STEP.search(line)
    if found:
        return Step(
            epoch=int(found["epoch"]),
            epochs=int(found["epochs"]),
            step=int(found["step"]),
            steps_per_epoch=int(found["steps"]),
            loss=float(found["loss"]),
            per_step_ms=int(found["ms"]),
            learning_rate=float(found["lr"]) if found["lr"] else None,
        )
    found = _SPEED.search(line)
    if found:
        return Speed(samples_per_second=float(found["samples"]), eta=found["eta"])
    return None


def metric_rank(world_size: int, pipeline_stages: int) -> int:
    """Return the rank whose loss counts: with pipeline stages only the last stage computes it."""
    return world_size - 1 if pipeline_stages > 1 else 0
