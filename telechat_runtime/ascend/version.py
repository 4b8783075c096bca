# SPDX-License-Identifier: Apache-2.0
"""Order of Ascend's version strings: 23.0.3, 24.1.rc3, 25.0.RC1.1, 25.0.rc1_sph001, 24.1.0.b062, 7.5.0.1.129."""

from __future__ import annotations

import functools
import re
from typing import List, Tuple

VersionKey = Tuple[Tuple[int, ...], Tuple[int, ...], Tuple[int, ...]]

FINAL = (1,)
_TOKEN = re.compile(r"rc(\d+)|sph(\d+)|b(\d+)|(\d+)")


@functools.lru_cache(maxsize=1024)
def ascend_key(text: str) -> VersionKey:
    """Return (release, stage, patch), which sorts as the versions do; CANN has the same shape.

    Case does not count (24.1.RC3 is 24.1.rc3), a release candidate is older than its final release, a build number
    (b062) does not make another version, and trailing zeros do not count. Raises ValueError for anything else.
    """
    release: List[int] = []
    stage: List[int] = []
    patch: List[int] = []
    for token in re.split(r"[._]", text.strip().lower()):
        match = _TOKEN.fullmatch(token)
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
    return without_trailing_zeros(release), tuple(stage) or FINAL, tuple(patch)


def same_version(left: str, right: str) -> bool:
    """Return whether both strings name one version."""
    return ascend_key(left) == ascend_key(right)


def alike(left: str, right: str) -> bool:
    """Return whether both strings name one version, or are the same where they name none."""
    try:
        return same_version(left, right)
    except ValueError:
        return left.lower() == right.lower()


def is_older(left: str, right: str) -> bool:
    """Return whether the first version came before the second."""
    return ascend_key(left) < ascend_key(right)


def without_trailing_zeros(numbers: List[int]) -> Tuple[int, ...]:
    """Return the numbers up to the last that is not zero, and at least the first."""
    end = len(numbers)
    while end > 1 and numbers[end - 1] == 0:
        end -= 1
    return tuple(numbers[:end])
