# SPDX-License-Identifier: Apache-2.0
"""What a program of this package is asked for: a JSON document, whose strategies are paths or carried along."""

from __future__ import annotations

import base64
import json
import os
from typing import Any, Dict, List, Optional

from telechat_runtime.node.programs.checkpoints.strategy import strategy_files

# Exit code of a program that refuses what it is asked for.
REFUSED = 3


def read_request(path: str) -> Dict[str, Any]:
    """Return the request in a file."""
    with open(path, encoding="utf-8") as file:
        document = json.load(file)
    if not isinstance(document, dict):
        raise TypeError(f"{path} holds a {type(document).__name__}, not an object")
    return document


def strategy_of(request: Dict[str, Any], key: str, folder: str) -> Optional[List[str]]:
    """Return the strategy files that a request names under `key`, or brings along; None when there are none.

    What it brings along (file name: base64) is written below `folder`. Raises StrategyError.
    """
    wanted = request.get(key)
    if not wanted:
        return None
    if isinstance(wanted, str):
        return strategy_files(wanted)
    own = os.path.join(folder, key)
    os.makedirs(own, exist_ok=True)
    for name, content in wanted.items():
        with open(os.path.join(own, os.path.basename(name)), "wb") as file:
            file.write(base64.b64decode(content, validate=True))
    return strategy_files(own)
