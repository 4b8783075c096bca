# SPDX-License-Identifier: Apache-2.0
"""Two commands measured side by side."""

from __future__ import annotations

import statistics
import subprocess
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def seconds(argv: list[str]) -> float:
    """Run a command that has to succeed, from the project's folder, and return how long it took."""
    began = time.monotonic()
    subprocess.run(argv, cwd=ROOT, check=True, stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
    return time.monotonic() - began


def medians(pairs: list[tuple[float, float]]) -> tuple[float, float]:
    """Return the median of each side."""
    one, other = zip(*pairs, strict=True)
    return statistics.median(one), statistics.median(other)
