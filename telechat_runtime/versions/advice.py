# SPDX-License-Identifier: Apache-2.0
"""Finds the smallest change that brings versions onto the matrix: fewest components, then the nearest versions.

Driver and firmware count as one component, the HDK release; a firmware that does not go with its driver may change
alone.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
from dataclasses import dataclass
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

from telechat_runtime.versions.judge import (
    ASCEND,
    JUDGED_ON_CPU,
    KEYS,
    NAMES,
    Judgement,
    Verdict,
    hdk_release,
    judge,
    same,
)
from telechat_runtime.versions.matrix import HdkRelease, Matrix, Versions, load_matrix

_HDK = "hdk"
_SOFTWARE = ("cann", "mindspore", "mindformers")


@dataclass(frozen=True)
class Change:
    """What to change, in words, one text a component; and the versions after it."""

    texts: Tuple[str, ...]
    after: Versions


@dataclass(frozen=True)
class _Step:
    """One component's change; of two, the one with the smaller `far` is nearer.

    `far`: 1 for an older HDK (the flash may refuse it), 1 for a firmware that no source names, the steps among the
    known versions, 1 for an older version.
    """

    text: str
    values: Mapping[str, Optional[str]]
    far: Tuple[int, int, int, int]


@functools.lru_cache(maxsize=256)
def smallest_change(versions: Versions, matrix: Matrix, device_target: str = ASCEND) -> Optional[Change]:
    """Return the smallest change that brings the versions onto the matrix; None when they are, or nothing was seen."""
    if judge(versions, matrix, device_target).verdict in (Verdict.ON, Verdict.UNKNOWN):
        return None
    steps = _steps(versions, matrix, device_target)
    for count in range(1, len(steps) + 1):
        combinations = itertools.chain.from_iterable(
            itertools.product(*(steps[name] for name in names)) for names in itertools.combinations(steps, count)
        )
        for combination in sorted(combinations, key=_distance):
            values = {name: value for step in combination for name, value in step.values.items()}
            after = dataclasses.replace(versions, **values)
            if judge(after, matrix, device_target).verdict is Verdict.ON:
                return Change(texts=tuple(step.text for step in combination), after=after)
    return None


def _steps(versions: Versions, matrix: Matrix, device_target: str) -> Dict[str, List[_Step]]:
    """Return what each component that was found could change to."""
    known = {
        "cann": [row.cann for row in matrix.stacks],
        "mindspore": [version for row in matrix.stacks for version in row.mindspore],
        "mindformers": [version for row in matrix.stacks for version in row.mindformers],
    }
    names = _SOFTWARE if device_target == ASCEND else JUDGED_ON_CPU
    steps = {name: _software_steps(versions, name, known[name]) for name in names}
    if device_target == ASCEND:
        steps = {_HDK: _hdk_steps(versions, matrix), **steps}
    return {name: found for name, found in steps.items() if found}


def _software_steps(versions: Versions, component: str, known: Sequence[str]) -> List[_Step]:
    before = _readable(component, getattr(versions, component))
    if before is None:
        return []
    others = [version for version in dict.fromkeys(known) if not same(component, version, before)]
    return [
        _Step(
            text=f"{NAMES[component]} {before} -> {version}",
            values={component: version},
            far=(0, 0, *_far(component, before, version, known)),
        )
        for version in others
    ]


def _hdk_steps(versions: Versions, matrix: Matrix) -> List[_Step]:
    before = _readable("driver", versions.driver)
    if before is None:
        return []
    steps = []
    if versions.firmware or versions.firmware_release:
        steps.append(_firmware_alone(versions, before, hdk_release(before, matrix)))
    drivers = [row.driver for row in matrix.hdk]
    for row in matrix.hdk:
        if not same("driver", row.driver, before):
            with_firmware = f" (firmware {row.firmware})" if row.firmware else ""
            far = _far("driver", before, row.driver, drivers)
            steps.append(
                _Step(
                    text=f"HDK {before} -> {row.driver}{with_firmware}",
                    values={"driver": row.driver, **_released_with(row)},
                    far=(far[1], 0 if row.firmware else 1, *far),
                )
            )
    return steps


def _firmware_alone(versions: Versions, driver: str, row: Optional[HdkRelease]) -> _Step:
    release = row if row and row.firmware else HdkRelease(driver=driver, source="")
    before = versions.firmware or f"of HDK {versions.firmware_release}"
    return _Step(
        text=f"firmware {before} -> {release.firmware or 'the one of HDK ' + driver}",
        values=_released_with(release),
        far=(0, 0, 0, 0),
    )


def _released_with(row: HdkRelease) -> Dict[str, Optional[str]]:
    return {
        "firmware": row.firmware,
        "firmware_release": row.driver,
        "driver_accepts": row.driver_accepts,
        "firmware_accepts": row.firmware_accepts,
    }


def _far(component: str, before: str, after: str, known: Sequence[str]) -> Tuple[int, int]:
    key = KEYS[component]
    low, high = sorted((key(before), key(after)))
    between = {key(version) for version in known if low < key(version) < high}
    return 1 + len(between), int(key(after) < key(before))


def _distance(steps: Sequence[_Step]) -> Tuple[int, ...]:
    return tuple(sum(numbers) for numbers in zip(*(step.far for step in steps)))


def _readable(component: str, text: Optional[str]) -> Optional[str]:
    try:
        return text if text is not None and KEYS[component](text) else None
    except ValueError:
        return None


@dataclass(frozen=True)
class Advice:
    """What is to be said of versions: the judgement, and what mends it."""

    versions: Versions
    judgement: Judgement
    change: Optional[Change]

    @property
    def reason(self) -> str:
        """All that is to be said against the versions, in one line; empty when nothing is."""
        return "; ".join((*self.judgement.reasons, *self.judgement.costs))

    @property
    def next_step(self) -> str:
        """The smallest change in one line; empty when there is none to make."""
        return ", ".join(self.change.texts) if self.change else ""

    def as_dict(self) -> Dict[str, Any]:
        """Return the advice as data."""
        return {
            "verdict": str(self.judgement.verdict),
            "reasons": list(self.judgement.reasons),
            "costs": list(self.judgement.costs),
            "not_seen": list(self.judgement.not_seen),
            "change": list(self.change.texts) if self.change else [],
        }


def advise(versions: Versions, device_target: str = ASCEND) -> Advice:
    """Judge versions by the matrix that this package carries, and find the smallest change that mends them."""
    matrix = load_matrix()
    return Advice(
        versions=versions,
        judgement=judge(versions, matrix, device_target),
        change=smallest_change(versions, matrix, device_target),
    )
