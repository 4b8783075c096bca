# SPDX-License-Identifier: Apache-2.0
"""The versions of driver and firmware that a host runs, from the look at it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from telechat_runtime.upgrade.observe import running_versions


class FilterModule:
    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"running_versions": running_versions}
