# SPDX-License-Identifier: Apache-2.0
"""Order of the versions of Python packages (2.6.0rc1, 1.4.0.beta1), and what version.info accepts."""

from __future__ import annotations

import functools
import re

from telechat_runtime.ascend.version import FINAL, VersionKey, ascend_key, without_trailing_zeros

_PACKAGE = re.compile(r"v?(\d+(?:\.\d+)*)[._-]?(?:(dev|a|alpha|b|beta|rc)[._-]?(\d*))?(?:[._-]?post\d*)?(?:\+.*)?")
_RANGE = re.compile(r"\[([^\],]+),([^\],]+)\]")
_STAGES = {"dev": 0, "a": 1, "alpha": 1, "b": 2, "beta": 2, "rc": 3}


@functools.lru_cache(maxsize=1024)
def package_key(text: str) -> VersionKey:
    """Return (release, stage, ()), which sorts as versions of Python packages do.

    A post-release (2.7.1.post1) and a local label (+cpu) make no other version here, as they keep a package's
    interfaces. Raises ValueError for anything else.
    """
    match = _PACKAGE.fullmatch(text.strip().lower())
    if not match:
        raise ValueError(f"{text!r} is no version of a Python package: expected 2.7.0, 2.6.0rc1 or 1.4.0.beta1")
    numbers, stage, number = match.groups()
    release = without_trailing_zeros([int(part) for part in numbers.split(".")])
    return release, (0, _STAGES[stage], int(number or 0)) if stage else FINAL, ()


def is_patch_of(version: str, base: str) -> bool:
    """Tell whether a version is `base` or a patch of it: 25.0.rc1.1 and 25.0.rc1_sph001 are patches of 25.0.rc1."""
    (release, stage, _), (base_release, base_stage, _) = ascend_key(version), ascend_key(base)
    return release == base_release and stage[: len(base_stage)] == base_stage


def in_ranges(version: str, ranges: str) -> bool:
    """Tell whether a version lies in one of version.info's ranges, as `[7.0.0,7.5.99]` or `[24.1,24.1.],[25.0,25.0.]`.

    An upper end with a dot behind it is read as "whatever begins with it" (unverified). Raises ValueError for a text
    that is no version.
    """
    key = ascend_key(version)
    for low, high in _RANGE.findall(ranges):
        first, last = ascend_key(low), ascend_key(high.rstrip("."))
        if high.endswith("."):
            # [24.1,24.1.] has to hold 24.1.rc3, which comes before 24.1.
            if first[0] <= key[0] and key[0][: len(last[0])] == last[0]:
                return True
        elif first <= key <= last:
            return True
    return False
