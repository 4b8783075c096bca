# SPDX-License-Identifier: Apache-2.0
"""Read Ascend's key=value files: version.info of driver and firmware, /etc/ascend_install.info."""

from __future__ import annotations

from typing import Dict, Optional


def parse_key_values(text: str) -> Dict[str, str]:
    """Return the pairs of a key=value file; lines without = are left out, the last of two equal keys counts."""
    pairs = {}
    for line in text.splitlines():
        key, separator, value = line.strip().partition("=")
        if separator and key.strip():
            pairs[key.strip()] = value.strip()
    return pairs


def installed_version(text: str) -> Optional[str]:
    """Return the Version= of a version.info, or None when the file was cut short before it."""
    return parse_key_values(text).get("Version") or None
