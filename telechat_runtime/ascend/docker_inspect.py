# SPDX-License-Identifier: Apache-2.0
"""Reads what `docker inspect` answers."""

from __future__ import annotations

import json
from typing import Any, Dict, List, Optional

# The container's label with the parameters that it was made with, as JSON.
PARAMETERS_LABEL = "telechat.parameters"


def found_objects(exit_code: int, stdout: str, stderr: str) -> Optional[List[Dict[str, Any]]]:
    """Return the containers and images that exist; None when the engine gives no answer.

    For an object that does not exist docker complains and ends with 1, and answers for the others all the same.
    """
    if exit_code != 0 and "no such" not in stderr.lower():
        return None
    try:
        documents = json.loads(stdout) if stdout.strip() else []
    except ValueError:
        return None
    return [item for item in documents if isinstance(item, dict)] if isinstance(documents, list) else None
