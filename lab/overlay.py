# SPDX-License-Identifier: Apache-2.0
"""Disks of several layers."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


def options(base: Path, layers: Sequence[Path], upper: Path, work: Path) -> str:
    """Return the mount options of disk layers over the base image; the uppermost layer comes first."""
    lower = ":".join([*(str(layer / "upper") for layer in layers), str(base / "root")])
    return f"lowerdir={lower},upperdir={upper},workdir={work}"
