# SPDX-License-Identifier: Apache-2.0
"""Judges whether versions fit each other: on the matrix, off it though they work, or broken.

Only what was found is judged: a version that nobody saw is neither good nor bad. Every relation between two components
is a function of its own; the worst one decides.
"""

from __future__ import annotations

import dataclasses
import enum
from dataclasses import dataclass
from typing import Dict, List, NamedTuple, Optional, Sequence, Tuple

from telechat_runtime.ascend.version import ascend_key, is_preview
from telechat_runtime.versions.matrix import HdkRelease, Matrix, Outcome, Versions
from telechat_runtime.versions.order import covers, in_ranges, is_patch_of, lowest_key, package_key

ASCEND = "Ascend"
KEYS = {
    "driver": ascend_key,
    "firmware": ascend_key,
    "cann": ascend_key,
    "mindspore": package_key,
    "mindformers": package_key,
}
NAMES = {
    "driver": "driver",
    "firmware": "firmware",
    "cann": "CANN",
    "mindspore": "MindSpore",
    "mindformers": "MindFormers",
}
JUDGED_ON_CPU = ("mindspore", "mindformers")


class Verdict(str, enum.Enum):
    """How versions fit, the worst last; `off` works and is not recommended, `unknown` had nothing to compare."""

    UNKNOWN = "unknown"
    ON = "on"
    OFF = "off"
    BROKEN = "broken"

    def __str__(self) -> str:
        return str(self.value)


class Finding(NamedTuple):
    """What one relation between two components says; a component that is on the matrix needs no reason."""

    verdict: Verdict
    reason: str = ""


@dataclass(frozen=True)
class Judgement:
    """The worst that any relation says, with all reasons, what the versions make do without, and what nobody saw."""

    verdict: Verdict
    reasons: Tuple[str, ...]
    costs: Tuple[str, ...]
    not_seen: Tuple[str, ...]


_ON = Finding(Verdict.ON)


def judge(versions: Versions, matrix: Matrix, device_target: str = ASCEND) -> Judgement:
    """Judge the versions against each other; on CPU only MindSpore and MindFormers count."""
    ascend = device_target == ASCEND
    known, unreadable = _readable(
        versions if ascend else Versions(**{name: getattr(versions, name) for name in JUDGED_ON_CPU})
    )
    relations = (_hdk_pair, _driver_cann, _cann_mindspore, _mindspore_mindformers)
    findings = [finding for finding in (relation(known, matrix) for relation in relations) if finding]
    worst = max((finding.verdict for finding in findings), key=list(Verdict).index, default=Verdict.UNKNOWN)
    return Judgement(
        verdict=worst,
        reasons=(*unreadable, *(finding.reason for finding in findings if finding.reason)),
        costs=_costs(known, matrix) if worst in (Verdict.OFF, Verdict.BROKEN) else (),
        not_seen=tuple(NAMES[name] for name in (KEYS if ascend else JUDGED_ON_CPU) if getattr(known, name) is None),
    )


def same(component: str, left: str, right: str) -> bool:
    """Tell whether both strings name one version of the component."""
    return KEYS[component](left) == KEYS[component](right)


def _readable(versions: Versions) -> Tuple[Versions, List[str]]:
    """Return the versions without those that are none, and what was left out."""
    known, reasons = versions, []
    for component, key in {**KEYS, "firmware_release": ascend_key}.items():
        text = getattr(versions, component)
        try:
            if text is not None:
                key(text)
        except ValueError as error:
            known = dataclasses.replace(known, **{component: None})
            if component in NAMES:
                reasons.append(f"{NAMES[component]}: {error}")
    return known, reasons


def _hdk_pair(found: Versions, matrix: Matrix) -> Optional[Finding]:
    driver, firmware, release = found.driver, found.firmware, found.firmware_release
    if driver is None or (firmware is None and release is None):
        return None
    row = hdk_release(driver, matrix)
    if (release and same("driver", release, driver)) or (row and firmware and _goes_with(row, firmware)):
        return _ON
    known = f" ({row.firmware} is)" if row and row.firmware else ""
    reason = f"firmware {firmware or 'of HDK ' + str(release)} was not released with driver {driver}{known}"
    if firmware is None:
        return Finding(Verdict.OFF, reason)
    if row is None and not (found.driver_accepts or found.firmware_accepts):
        return Finding(Verdict.OFF, f"no HDK release with driver {driver} and firmware {firmware} is known")
    refusals = [text for text, accepted in _said_of_each_other(found, row, matrix) if not accepted]
    # The ranges of version.info leave out pairs that work, so one of them alone is no proof.
    both = len(refusals) == len(("driver", "firmware"))
    return Finding(Verdict.BROKEN if both else Verdict.OFF, "; ".join([reason, *refusals]))


def _goes_with(row: HdkRelease, firmware: str) -> bool:
    if any(same("firmware", other, firmware) for other in (row.firmware, *row.firmware_also) if other):
        return True
    if row.firmware_minimum is None:
        return False
    line, lowest = ascend_key(firmware), ascend_key(row.firmware_minimum)
    return line[0][:2] == lowest[0][:2] and line >= lowest


def _said_of_each_other(found: Versions, row: Optional[HdkRelease], matrix: Matrix) -> List[Tuple[str, bool]]:
    """Return what driver and firmware say of each other, as far as it is known, each with whether it accepts."""
    driver, firmware = str(found.driver), str(found.firmware)
    of_firmware = next(
        (item for item in matrix.hdk if item.firmware and same("firmware", item.firmware, firmware)), None
    )
    by_driver = found.driver_accepts or (row.driver_accepts if row else None)
    by_firmware = found.firmware_accepts or (of_firmware.firmware_accepts if of_firmware else None)
    said = []
    for who, ranges, version in (("driver", by_driver, firmware), ("firmware", by_firmware, driver)):
        if ranges:
            try:
                said.append((f"the {who}'s version.info accepts only {ranges}", in_ranges(version, ranges)))
            except ValueError:
                continue  # a range in a spelling that nobody has seen yet says nothing
    return said


def hdk_release(driver: str, matrix: Matrix) -> Optional[HdkRelease]:
    """Return what is known of the HDK release of a driver, which may be a patch of it."""
    own = next((row for row in matrix.hdk if same("driver", row.driver, driver)), None)
    return own or next((row for row in matrix.hdk if is_patch_of(driver, row.driver)), None)


def _driver_cann(found: Versions, matrix: Matrix) -> Optional[Finding]:
    if found.driver is None:
        return None
    # Without CANN the one that MindSpore was built for stands in for it, as an image has both or neither.
    rows = [row for row in matrix.stacks if _holds("mindspore", row.mindspore, found.mindspore)]
    cann = found.cann or (rows[0].cann if rows else None)
    if cann is None:
        return _driver_alone(found.driver, matrix)
    accepted = _accepted(cann, matrix)
    if not accepted:
        unknown = (
            "no source says which drivers this preview takes" if is_preview(cann) else "the matrix does not have it"
        )
        return Finding(Verdict.OFF, f"CANN {cann}: {unknown}")
    if any(covers(driver, found.driver) for driver in accepted):
        return _ON
    finding = _outside(found.driver, cann, accepted, matrix)
    return _softened(finding, {"driver": found.driver, "cann": cann}, matrix)


def _driver_alone(driver: str, matrix: Matrix) -> Finding:
    rows = {row.driver for row in matrix.stacks} | {other for window in matrix.windows for other in window.drivers}
    if any(covers(other, driver) for other in rows):
        return _ON
    return Finding(Verdict.OFF, f"no MindSpore release was made for driver {driver}")


def _accepted(cann: str, matrix: Matrix) -> List[str]:
    """Return the drivers that a CANN release was made for or accepts."""
    own = [row.driver for row in matrix.stacks if same("cann", row.cann, cann)]
    return own + [driver for window in matrix.windows if covers(window.cann, cann) for driver in window.drivers]


def _outside(driver: str, cann: str, accepted: Sequence[str], matrix: Matrix) -> Finding:
    oldest, newest = min(accepted, key=lowest_key), max(accepted, key=lowest_key)
    if ascend_key(driver) > lowest_key(oldest):
        middle = f"CANN {cann} was made for driver {newest}; {driver} is not on its list"
        return Finding(Verdict.OFF, middle)
    # A window moves on: no CANN accepts a driver that an older CANN has already left behind.
    windows = [window for window in matrix.windows if lowest_key(window.cann) <= ascend_key(cann)]
    for window in windows:
        limit = min(window.drivers, key=lowest_key)
        if ascend_key(driver) < lowest_key(limit):
            reason = f"driver {driver} is too old for CANN {cann}: CANN {window.cann} takes none older than {limit}"
            return Finding(Verdict.BROKEN, reason)
    return Finding(Verdict.OFF, f"driver {driver} is older than {newest}, for which CANN {cann} was made")


def _cann_mindspore(found: Versions, matrix: Matrix) -> Optional[Finding]:
    if found.cann is None or found.mindspore is None:
        return None
    rows = [row for row in matrix.stacks if _holds("mindspore", row.mindspore, found.mindspore)]
    if not rows:
        return Finding(Verdict.OFF, f"the matrix has no MindSpore {found.mindspore}")
    if any(same("cann", row.cann, found.cann) for row in rows):
        return _ON
    return Finding(
        Verdict.OFF, f"MindSpore {found.mindspore} was built for CANN {rows[0].cann}, found is CANN {found.cann}"
    )


def _mindspore_mindformers(found: Versions, matrix: Matrix) -> Optional[Finding]:
    mindspore, mindformers = found.mindspore, found.mindformers
    if mindspore is None or mindformers is None:
        return None
    for outcome in matrix.breaks:
        if _at_least_as_far_apart(found, outcome):
            pair = f"MindFormers {mindformers} does not run on MindSpore {mindspore}"
            return Finding(Verdict.BROKEN, f"{pair}: {outcome.name}")
    rows = [row for row in matrix.stacks if _holds("mindformers", row.mindformers, mindformers)]
    if any(_holds("mindspore", row.mindspore, mindspore) for row in rows):
        return _ON
    reason = f"the matrix has no MindFormers {mindformers}"
    if rows:
        reason = f"MindFormers {mindformers} was made for MindSpore {rows[0].mindspore[0]}, found is {mindspore}"
    finding = Finding(Verdict.OFF, reason)
    return _softened(finding, {"mindspore": mindspore, "mindformers": mindformers}, matrix)


def _at_least_as_far_apart(found: Versions, outcome: Outcome) -> bool:
    """Tell whether MindFormers is as old, and MindSpore as new, as in a pair that breaks."""
    tried, mindspore, mindformers = outcome.versions, str(found.mindspore), str(found.mindformers)
    newer = package_key(mindspore) >= package_key(str(tried.mindspore))
    return newer and package_key(mindformers) <= package_key(str(tried.mindformers))


def _softened(finding: Finding, pair: Dict[str, str], matrix: Matrix) -> Finding:
    """Return the finding, at worst `off` when somebody has seen the pair work."""
    for outcome in matrix.works:
        tried = {name: getattr(outcome.versions, name) for name in pair}
        if all(value and same(name, value, pair[name]) for name, value in tried.items()):
            return Finding(Verdict.OFF, f"{finding.reason}; it is known to work ({outcome.name})")
    return finding


def _holds(component: str, versions: Sequence[str], version: Optional[str]) -> bool:
    return version is not None and any(same(component, other, version) for other in versions)


def _costs(found: Versions, matrix: Matrix) -> Tuple[str, ...]:
    costs = []
    for cost in matrix.costs:
        version = getattr(found, cost.component)
        key = KEYS[cost.component]
        if version is not None and key(version) < key(cost.below):
            costs.append(f"{NAMES[cost.component]} {version} is older than {cost.below}: {cost.cost}")
    return tuple(costs)
