# SPDX-License-Identifier: Apache-2.0
"""Where slow things of the control side are kept; nothing needs them to be there."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path:
    """Return `$TELECHAT_CACHE`, else telechat-ascend in the user's cache folder."""
    if os.environ.get("TELECHAT_CACHE"):
        return Path(os.environ["TELECHAT_CACHE"])
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "telechat-ascend"
