# SPDX-License-Identifier: Apache-2.0
"""One reason why a host can't be worked on, in the shape that preflight shows and `ascend_info` returns."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Problem:
    """What was checked, the value found, the rule it breaks and what the operator does about it."""

    check: str
    value: str
    rule: str
    next_step: str
