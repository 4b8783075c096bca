# SPDX-License-Identifier: Apache-2.0
"""Version numbers of HDK releases and firmware."""

import re


def key(version):
    """Return a sort key: 24.1.rc3 < 24.1.0, numbers by value, case ignored."""
    parts = []
    for part in version.strip().lower().split("."):
        match = re.match(r"(rc|b|sph)?(\d*)", part)
        word, number = match.group(1), int(match.group(2) or 0)
        parts.append((-1 if word == "rc" else 0, number))
    return parts


def base_number(release):
    """Return the number by which the chips' flash asks for a driver of this release or a newer one."""
    number = 0
    for candidate, value in (key(release) + [(0, 0)] * 3)[:3]:
        number = number * 100 + (value if candidate < 0 else value + 50)
    return number


def in_ranges(version, ranges):
    """Tell whether a version lies in one of ``[low,high],[low,high]``."""
    for low, high in re.findall(r"\[([^,\]]*),([^\]]*)\]", ranges):
        if key(low) <= key(version) and (key(version) <= key(high) or _starts_with(version, high)):
            return True
    return False


def _starts_with(version, high):
    return high.endswith(".") and version.lower().startswith(high.lower())
