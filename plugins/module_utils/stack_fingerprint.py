# SPDX-License-Identifier: Apache-2.0
"""What a verification was true for: when any part of it changes, the node has to be verified again."""

from __future__ import annotations

import json
import os
from typing import Any, Dict, Optional

from ansible.module_utils.ascend.version_info import installed_version
from ansible.module_utils.docker_objects import Inspected
from ansible.module_utils.file_digest import file_sha256


def fingerprint(wish: Dict[str, Any], inspected: Inspected) -> Dict[str, Any]:
    """Return versions of driver and firmware, container, runtime and settings.

    ``wish``: ``hdk_path``, ``runtime_files`` (paths on the host), ``settings`` (what the verification was told).
    """
    return {
        "driver": version(wish["hdk_path"], "driver"),
        "firmware": version(wish["hdk_path"], "firmware"),
        "image": inspected.container.image_id if inspected.container else None,
        "container": inspected.container.id if inspected.container else None,
        "runtime": {path: sha256_or_none(path) for path in sorted(wish["runtime_files"])},
        "settings": wish["settings"],
    }


def changed_parts(stamp: str, current: Dict[str, Any]) -> Optional[str]:
    """Return why a stamp is not true for ``current``, None when it is."""
    try:
        with open(stamp, encoding="utf-8") as stream:
            verified = json.load(stream)
    except OSError:
        return "it was not verified yet"
    except ValueError:
        return "the record of its verification can't be read"
    before = verified.get("fingerprint", {}) if isinstance(verified, dict) else {}
    changed = [name for name in current if before.get(name) != current[name]]
    return "changed since it was verified: " + ", ".join(changed) if changed else None


def sha256_or_none(path: str) -> Optional[str]:
    """Return a file's sha256, None when there is no such file."""
    return file_sha256(path) if os.path.isfile(path) else None


def version(hdk_path: str, part: str) -> Optional[str]:
    """Return the installed version of "driver" or "firmware", None when it is not installed."""
    return installed_version(version_info(hdk_path, part))


def version_info(hdk_path: str, part: str) -> str:
    """Return the text of the version.info of "driver" or "firmware", empty when it is not installed."""
    try:
        with open(os.path.join(hdk_path, part, "version.info"), encoding="utf-8", errors="replace") as stream:
            return stream.read()
    except OSError:
        return ""
