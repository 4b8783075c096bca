# SPDX-License-Identifier: Apache-2.0
"""Asks Docker, on the server, which image the container of the jobs was made from and what that name means now."""

from __future__ import annotations

import json
import subprocess
from typing import Any, Dict, List, Optional

from telechat_runtime.ascend.docker_inspect import PARAMETERS_LABEL, found_objects
from telechat_runtime.node.tool import ask_tool

_SECONDS = 60


def look(name: Optional[str]) -> Optional[Dict[str, Any]]:
    """Return the container's state, image name and id, and the id that the name has now; None when Docker is silent.

    A container that does not exist answers with state "missing".
    """
    if not name:
        return None
    found = _inspect(["container", "inspect", name])
    if found is None:
        return None
    if not found:
        return {"state": "missing", "image": None, "image_id": None, "wanted_id": None}
    image = _image_name(found.get("Config") or {})
    wanted = _inspect(["image", "inspect", image])
    return {
        "state": str(found.get("State", {}).get("Status", "")),
        "image": image,
        "image_id": found.get("Image"),
        "wanted_id": wanted.get("Id") if wanted else None,
    }


def _image_name(config: Dict[str, Any]) -> str:
    """Return the name that a container was asked to be made from: the role runs the image by its id."""
    try:
        return str(json.loads((config.get("Labels") or {})[PARAMETERS_LABEL])["image"])
    except (KeyError, TypeError, ValueError):
        return str(config.get("Image", ""))


def _inspect(words: List[str]) -> Optional[Dict[str, Any]]:
    """Return the one object, {} when there is none of that name, None when Docker gives no answer."""
    try:
        done = ask_tool(["docker", *words], seconds=_SECONDS)
    except (OSError, subprocess.TimeoutExpired):
        return None
    objects = found_objects(done.returncode, done.stdout, done.stderr)
    return None if objects is None else next(iter(objects), {})
