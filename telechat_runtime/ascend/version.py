# SPDX-License-Identifier: Apache-2.0
"""Order of Ascend's versions: 23.0.3, 24.1.rc3, 25.0.RC1.1, 25.0.rc1_sph001, 24.1.0.b062, 7.5.0.1.129, 9.0.0-beta.1."""

from __future__ import annotations

import functools
import re
from typing import List, Tuple

VersionKey = Tuple[Tuple[int, ...], Tuple[int, ...], Tuple[int, ...], Tuple[int, ...]]

FINAL = (1,)
_SEPARATOR = re.compile(r"[._]|-(?=alpha|beta)")
_TOKEN = re.compile(r"rc(\d+)|sph(\d+)|b(\d+)|(alpha|beta|t)(\d*)|(\d+)")
_PREVIEWS = {"t": 0, "alpha": 1, "beta": 2}
# Until CANN 8 a beta is the community edition of the release that it names: 8.0.RC2.beta1 is 8.0.RC2 (MindStudio's
# release notes list both as one). Since CANN 9 it is a preview: 9.0.0-beta.1 came before 9.0.0.
_FIRST_RELEASE_WITH_BETAS = 9


@functools.lru_cache(maxsize=1024)
def ascend_key(text: str) -> VersionKey:
    """Return (release, stage, preview, patch), which sorts as the versions do; CANN has the same shape.

    Case does not count (24.1.RC3 is 24.1.rc3), a release candidate is older than its final release, an alpha, beta or
    test build (8.0.T6) older than what it leads to, a build number (b062) does not make another version, and trailing
    zeros do not count. Raises ValueError for anything else.
    """
    release: List[int] = []
    stage: List[int] = []
    preview: List[int] = []
    patch: List[int] = []
    for token in _SEPARATOR.split(text.strip().lower()):
        match = _TOKEN.fullmatch(token)
        if not match:
            expected = "expected numbers and rc1, alpha001, sph001 or b062, joined by dots"
            raise ValueError(f"{text!r} is no Ascend version: {expected}")
        candidate, hotpatch, _, kind, count, number = match.groups()
        if candidate is not None:
            stage += [0, int(candidate)]
        elif hotpatch is not None:
            patch.append(int(hotpatch))
        elif kind is not None:
            preview += [0, _PREVIEWS[kind], *([int(count)] if count else [])]
        elif number is not None:
            (preview or stage or release).append(int(number))
    if not release:
        raise ValueError(f"{text!r} is no Ascend version: it starts with no number")
    is_edition = preview[1:2] == [_PREVIEWS["beta"]] and release[0] < _FIRST_RELEASE_WITH_BETAS
    return (
        without_trailing_zeros(release),
        tuple(stage) or FINAL,
        FINAL if is_edition else tuple(preview) or FINAL,
        tuple(patch),
    )


def is_preview(text: str) -> bool:
    """Return whether a version is an alpha, beta or test build. Raises ValueError for a text that is no version."""
    return ascend_key(text)[2] != FINAL


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
