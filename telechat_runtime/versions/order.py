# SPDX-License-Identifier: Apache-2.0
"""Order of versions: Ascend's (24.1.rc3, 25.0.rc1_sph001, 7.5.0.1.129) and Python packages' (2.6.0rc1, 1.4.0.beta1).

The servers' side orders Ascend's versions by plugins/module_utils/ascend_version.py, which can't be imported here nor
this there; a contract test holds the two together.
"""

from __future__ import annotations

import functools
import re
from typing import List, Tuple

VersionKey = Tuple[Tuple[int, ...], Tuple[int, ...], Tuple[int, ...]]

_ASCEND = re.compile(r"rc(\d+)|sph(\d+)|b(\d+)|(\d+)")
_PACKAGE = re.compile(r"v?(\d+(?:\.\d+)*)[._-]?(?:(dev|a|alpha|b|beta|rc)[._-]?(\d*))?(?:[._-]?post\d*)?(?:\+.*)?")
_RANGE = re.compile(r"\[([^\],]+),([^\],]+)\]")
_STAGES = {"dev": 0, "a": 1, "alpha": 1, "b": 2, "beta": 2, "rc": 3}
_FINAL = (1,)


@functools.lru_cache(maxsize=1024)
def ascend_key(text: str) -> VersionKey:
    """Return (release, stage, patch), which sorts as Ascend's versions do; CANN has the same shape.

    Case does not count, a release candidate is older than its final release, a build number (b062) makes no other
    version, trailing zeros do not count. Raises ValueError for anything else.
    """
    release: List[int] = []
    stage: List[int] = []
    patch: List[int] = []
    for token in re.split(r"[._]", text.strip().lower()):
        match = _ASCEND.fullmatch(token)
        if not match:
            raise ValueError(f"{text!r} is no Ascend version: expected numbers and rc1, sph001 or b062, joined by dots")
        candidate, hotpatch, _, number = match.groups()
        if candidate is not None:
            stage += [0, int(candidate)]
        elif hotpatch is not None:
            patch.append(int(hotpatch))
        elif number is not None:
            (stage or release).append(int(number))
    if not release:
        raise ValueError(f"{text!r} is no Ascend version: it starts with no number")
    return _without_trailing_zeros(release), tuple(stage) or _FINAL, tuple(patch)


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
    release = _without_trailing_zeros([int(part) for part in numbers.split(".")])
    return release, (0, _STAGES[stage], int(number or 0)) if stage else _FINAL, ()


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


def _without_trailing_zeros(numbers: List[int]) -> Tuple[int, ...]:
    end = len(numbers)
    while end > 1 and numbers[end - 1] == 0:
        end -= 1
    return tuple(numbers[:end])
