# SPDX-License-Identifier: Apache-2.0
"""Folders of the control side, where the XDG Base Directory Specification has them."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path:
    """Return where slow things are kept, which may be deleted: `$TELECHAT_CACHE`, else the user's cache folder."""
    if os.environ.get("TELECHAT_CACHE"):
        return Path(os.environ["TELECHAT_CACHE"])
    return _base("XDG_CACHE_HOME", ".cache") / "telechat-ascend"


def state_folder() -> Path:
    """Return where what runs in the background writes its log."""
    return _base("XDG_STATE_HOME", ".local/state") / "telechat-run"


def _base(variable: str, below_home: str) -> Path:
    named = os.environ.get(variable)
    return Path(named) if named else Path.home() / below_home
