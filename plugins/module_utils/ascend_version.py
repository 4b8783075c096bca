# SPDX-License-Identifier: Apache-2.0
"""Order of Ascend's version strings: 23.0.3, 24.1.rc3, 25.0.RC1.1, 25.0.rc1_sph001, 24.1.0.b062, 7.5.0.1.129."""

from __future__ import annotations

import re
from typing import List, Tuple

_TOKEN = re.compile(r"rc(\d+)|sph(\d+)|b(\d+)|(\d+)")

FINAL = (1,)


def version_key(text: str) -> Tuple[Tuple[int, ...], Tuple[int, ...], Tuple[int, ...]]:
    """Return (release, stage, patch), which sorts as the versions do.

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
        candidate, hotpatch, build, number = match.groups()
        if candidate is not None:
            stage += [0, int(candidate)]
        elif hotpatch is not None:
            patch.append(int(hotpatch))
        elif number is not None:
            (stage or release).append(int(number))
        elif build is not None:
            continue
    if not release:
        raise ValueError(f"{text!r} is no Ascend version: it starts with no number")
    return _without_trailing_zeros(release), tuple(stage) or FINAL, tuple(patch)


def same_version(left: str, right: str) -> bool:
    """Tell whether both strings name one version."""
    return version_key(left) == version_key(right)


def alike(left: str, right: str) -> bool:
    """Tell whether both strings name one version, or are the same where they name none."""
    try:
        return same_version(left, right)
    except ValueError:
        return left.lower() == right.lower()


def is_older(left: str, right: str) -> bool:
    """Tell whether the first version came before the second."""
    return version_key(left) < version_key(right)


def _without_trailing_zeros(numbers: List[int]) -> Tuple[int, ...]:
    end = len(numbers)
    while end > 1 and numbers[end - 1] == 0:
        end -= 1
    return tuple(numbers[:end])
