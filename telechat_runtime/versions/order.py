# SPDX-License-Identifier: Apache-2.0
"""Order of the versions of Python packages (2.6.0rc1, 1.4.0.beta1), and what version.info accepts."""

from __future__ import annotations

import functools
import re
from typing import Optional, Tuple

from telechat_runtime.ascend.version import FINAL, VersionKey, ascend_key, without_trailing_zeros

_PACKAGE = re.compile(r"v?(\d+(?:\.\d+)*)[._-]?(?:(dev|a|alpha|b|beta|rc)[._-]?(\d*))?(?:[._-]?post\d*)?(?:\+.*)?")
_RANGE = re.compile(r"\[([^\],]+),([^\],]+)\]")
_LINE = re.compile(r"(\d+(?:\.\d+)*)\.x")
# Of a release as Ascend names it: 24.1.0.
_RELEASE_NUMBERS = 3
_STAGES = {"dev": 0, "a": 1, "alpha": 1, "b": 2, "beta": 2, "rc": 3}


@functools.lru_cache(maxsize=1024)
def package_key(text: str) -> VersionKey:
    """Return (release, stage, FINAL, ()), which sorts as versions of Python packages do.

    A post-release (2.7.1.post1) and a local label (+cpu) make no other version here, as they keep a package's
    interfaces. Raises ValueError for anything else.
    """
    match = _PACKAGE.fullmatch(text.strip().lower())
    if not match:
        raise ValueError(f"{text!r} is no version of a Python package: expected 2.7.0, 2.6.0rc1 or 1.4.0.beta1")
    numbers, stage, number = match.groups()
    release = without_trailing_zeros([int(part) for part in numbers.split(".")])
    return release, (0, _STAGES[stage], int(number or 0)) if stage else FINAL, FINAL, ()


def is_patch_of(version: str, base: str) -> bool:
    """Return whether a version is `base` or a patch of it: 25.0.rc1.1, 25.0.rc1_sph001 of 25.0.rc1, 24.1.0.3 of 24.1.0.

    Raises ValueError for a text that is no version.
    """
    (release, stage, preview, _), (base_release, base_stage, base_preview, _) = ascend_key(version), ascend_key(base)
    numbers, base_numbers = _padded(release, _RELEASE_NUMBERS), _padded(base_release, _RELEASE_NUMBERS)
    same_stage = stage[: len(base_stage)] == base_stage and preview == base_preview
    return same_stage and numbers[: len(base_numbers)] == base_numbers


def covers(entry: str, version: str) -> bool:
    """Return whether an entry of the matrix means a version: 25.0.rc1 with its patches, or all releases of 25.0.x.

    A line such as 25.0.x says nothing of previews. Raises ValueError for a text that is neither.
    """
    line = _line(entry)
    if line is None:
        return is_patch_of(version, entry)
    release, _, preview, _ = ascend_key(version)
    return preview == FINAL and _padded(release, len(line))[: len(line)] == line


def lowest_key(entry: str) -> VersionKey:
    """Return a key that is not above that of any version that the entry covers."""
    line = _line(entry)
    return ascend_key(entry) if line is None else (without_trailing_zeros(list(line)), (), FINAL, ())


def _line(entry: str) -> Optional[Tuple[int, ...]]:
    match = _LINE.fullmatch(entry)
    return tuple(int(number) for number in match[1].split(".")) if match else None


def _padded(numbers: Tuple[int, ...], length: int) -> Tuple[int, ...]:
    return numbers + (0,) * (length - len(numbers))


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
