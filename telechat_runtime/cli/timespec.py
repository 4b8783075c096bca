# SPDX-License-Identifier: Apache-2.0
"""The moments that --since understands."""

from __future__ import annotations

import re
import time
from datetime import datetime
from typing import Optional

import click

SINCE_HELP = "Only lines of that time or later: 90s, 10m, 2h, 1d ago, or a time as 2026-01-31T10:00 (of this machine)."
_AGO = re.compile(r"(\d+)([smhd])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def parse_since(_context: click.Context, _option: click.Parameter, text: Optional[str]) -> Optional[float]:
    """Return the moment as Unix time. Raises click.BadParameter for what is no moment."""
    if text is None:
        return None
    ago = _AGO.fullmatch(text)
    if ago:
        return time.time() - int(ago[1]) * _SECONDS[ago[2]]
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError as error:
        raise click.BadParameter(f"{text!r} is neither a span as 10m nor a time as 2026-01-31T10:00") from error
