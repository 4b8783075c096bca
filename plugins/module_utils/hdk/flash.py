# SPDX-License-Identifier: Apache-2.0
"""Ask the chips how old a driver their flash allows.

Their answer is a capability number, which the installed driver's version_cap.map translates: lines of `number,version`,
of which the smallest number that is not below the chips' names the oldest driver. 0 stands for no limit. From the
vendor's manual of upgrade-tool and its installers' own check; unverified on a device.
"""

from __future__ import annotations

import os
import re
from typing import List, Optional, Tuple

from ansible.module_utils.command_result import Run

# Newer tools name the package that a number is for, and the installed driver's own check goes by that name alone.
_DRIVER = re.compile(r'"driver"\s*:\s*"?(\w+)"?\s*[,}]')
_ANSWER = re.compile(r'\{"device_id":\s*\d+,\s*"?[^":]+"?:\s*"?(\d+)"?\s*\}')


def flash_base(run: Run, home: str, root: str = "/") -> Optional[str]:
    """Return the oldest driver that all chips allow; None when they know no limit, or no answer can be had."""
    folder = os.path.join(root, home[1:], "driver")
    tool = os.path.join(folder, "tools/upgrade-tool")
    if not os.path.isfile(tool):
        return None
    numbers = capability_numbers(run([tool, "--device_index", "-1", "--hw_base_version"]).stdout)
    base = max(numbers, default=0)
    return oldest_version(_read(os.path.join(folder, "script/version_cap.map")), base) if base else None


def capability_numbers(text: str) -> List[int]:
    """Return the number of every chip that upgrade-tool --hw_base_version has an answer of."""
    answers = _DRIVER.findall(text) or _ANSWER.findall(text)
    return [int(number) for number in answers if number.isdigit()]


def oldest_version(capabilities: str, base: int) -> Optional[str]:
    """Return the version with the smallest capability number that is at least `base`; None when there is none."""
    known: List[Tuple[int, str]] = []
    for line in capabilities.splitlines():
        number, comma, version = line.partition("#")[0].partition(",")
        if comma and number.strip().isdigit() and version.strip():
            known.append((int(number), version.strip()))
    return min((entry for entry in known if entry[0] >= base), default=(0, None))[1]


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            return stream.read()
    except OSError:
        return ""
