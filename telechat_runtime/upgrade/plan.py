# SPDX-License-Identifier: Apache-2.0
"""Plans a fleet upgrade: which hosts, in which waves, so that never more than the allowed ones are out of service.

The arithmetic: what is out already, and as many failures as are tolerated, are set aside from what may be out; the rest
is the most that a wave may take out of service. So a wave always fits, however many of those before it failed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple, Union

from telechat_runtime.errors import SpecError

Share = Union[int, str]
"""A number of hosts, or a percentage of them as "25%"."""

CANARY = "canary"
BATCH = "batch"
INTERRUPTED = "interrupted"

WAIT = "wait"
CHECKPOINT = "checkpoint"
SKIP = "skip"

_ALL = 100
_PERCENT = re.compile(r"(\d{1,3})\s*%")


@dataclass(frozen=True)
class HostLook:
    """What the look at one host found.

    `work` is what is to be done there, empty when nothing is; `problems` forbid it. `out` is why it is out of service
    now, `stays_out` whether it is so afterwards too (maintenance), `job` the job that runs there. `interrupted` is one
    that this campaign has begun with and not ended.
    """

    name: str
    work: Tuple[str, ...] = ()
    problems: Tuple[str, ...] = ()
    seconds: int = 0
    before: Mapping[str, Optional[str]] = field(default_factory=dict)
    reachable: bool = True
    out: Optional[str] = None
    stays_out: bool = False
    job: Optional[str] = None
    interrupted: bool = False


@dataclass(frozen=True)
class Settings:
    """What the operator allows and wishes; hosts that `order` does not name come after those that it does."""

    canaries: Tuple[str, ...] = ()
    waves: Tuple[Share, ...] = (1, "10%", "25%")
    max_unavailable: Share = "25%"
    max_fail_percentage: int = 10
    drain: str = WAIT
    order: Tuple[str, ...] = ()


@dataclass(frozen=True)
class Wave:
    """Hosts that are upgraded together."""

    number: int
    kind: str
    hosts: Tuple[str, ...]


@dataclass(frozen=True)
class Limits:
    """How many hosts may be out of service, fail, and leave service in one wave."""

    hosts: int
    allowed_unavailable: int
    max_failures: int
    batch: int

    def as_dict(self) -> Dict[str, int]:
        """Return them as data."""
        return dict(vars(self))


@dataclass(frozen=True)
class UpgradePlan:
    """The waves in their order, who has nothing to do, and who is left alone and why."""

    limits: Limits
    waves: Tuple[Wave, ...]
    ready: Tuple[str, ...]
    refused: Mapping[str, Tuple[str, ...]]
    out: Tuple[str, ...]
    seconds: int

    def as_dict(self) -> Dict[str, Any]:
        """Return the plan as data."""
        return {
            "limits": self.limits.as_dict(),
            "waves": [{"number": wave.number, "kind": wave.kind, "hosts": list(wave.hosts)} for wave in self.waves],
            "ready": list(self.ready),
            "refused": {name: list(reasons) for name, reasons in self.refused.items()},
            "out": list(self.out),
            "seconds": self.seconds,
        }


def share_of(share: Share, total: int, *, name: str) -> int:
    """Return how many of `total` a share is, a percentage rounded down. Raises SpecError."""
    text = str(share).strip()
    percent = _PERCENT.fullmatch(text)
    if percent and int(percent[1]) <= _ALL:
        return total * int(percent[1]) // _ALL
    if text.isdecimal():
        return int(text)
    raise SpecError(
        f"{name} is {share!r}: a number of hosts, or a percentage from 0% to 100%, is needed",
        next_step=f'set it as {name}: 2 or {name}: "25%"',
    )


def plan_upgrade(
    looks: Sequence[HostLook],
    settings: Settings,
    *,
    failed: Sequence[str] = (),
    waves_before: int = 0,
    canary_passed: bool = False,
) -> UpgradePlan:
    """Plan the upgrade of these hosts, or the rest of one: `failed` are those that this campaign has failed on already.

    Raises SpecError for settings that mean nothing.
    """
    _check(settings, looks)
    looks = _in_order(looks, settings.order)
    limits = _limits(looks, settings, failed)
    ready = tuple(look.name for look in looks if _is_ready(look))
    refused = _refused(looks, settings, limits, failed)
    going = [look for look in looks if look.name not in refused and look.name not in ready]
    waves = _waves(going, settings, limits, canary_passed=canary_passed, number=waves_before)
    seconds = {look.name: look.seconds for look in looks}
    return UpgradePlan(
        limits=limits,
        waves=waves,
        ready=ready,
        refused=refused,
        out=tuple(look.name for look in looks if _is_out(look)),
        seconds=sum(max(seconds[name] for name in wave.hosts) for wave in waves),
    )


def _check(settings: Settings, looks: Sequence[HostLook]) -> None:
    names = [look.name for look in looks]
    strangers = [name for name in settings.canaries if name not in names]
    if strangers:
        raise SpecError(
            f"fleet_upgrade_canaries names {', '.join(strangers)}, which is not among the hosts of this run",
            next_step="name hosts of the inventory's group, within --limit",
        )
    twice = sorted({name for name in settings.order if settings.order.count(name) > 1})
    if twice:
        raise SpecError(f"fleet_upgrade_order names {', '.join(twice)} more than once", next_step="name each host once")
    if settings.drain not in (WAIT, CHECKPOINT, SKIP):
        raise SpecError(f"fleet_upgrade_drain is {settings.drain!r}: wait, checkpoint or skip is needed")
    if not settings.waves or any(share_of(share, _ALL, name="fleet_upgrade_waves") < 1 for share in settings.waves):
        raise SpecError("fleet_upgrade_waves: at least one wave of one host or more is needed")


def _in_order(looks: Sequence[HostLook], order: Sequence[str]) -> List[HostLook]:
    """Return the hosts as they shall go; a name that is none of them is of the fleet outside of --limit."""
    place = {name: number for number, name in enumerate(order)}
    return sorted(looks, key=lambda look: place.get(look.name, len(place)))


def _limits(looks: Sequence[HostLook], settings: Settings, failed: Sequence[str]) -> Limits:
    total = len(looks)
    allowed = max(1, share_of(settings.max_unavailable, total, name="fleet_upgrade_max_unavailable"))
    out = sum(1 for look in looks if _is_out(look) and not _comes_back(look) and look.name not in failed)
    tolerated = share_of(f"{settings.max_fail_percentage}%", total, name="fleet_upgrade_max_fail_percentage")
    # One host at least may leave service if any may: rather fewer failures than none upgraded.
    max_failures = max(0, min(tolerated, allowed - out - 1))
    return Limits(
        hosts=total, allowed_unavailable=allowed, max_failures=max_failures, batch=max(0, allowed - out - max_failures)
    )


def _is_out(look: HostLook) -> bool:
    return look.out is not None or not look.reachable


def _comes_back(look: HostLook) -> bool:
    """Tell whether this is one that goes on and then is in service, or has failed."""
    return look.interrupted and not look.problems and not look.stays_out


def _is_ready(look: HostLook) -> bool:
    return look.reachable and not look.work and not look.problems and not look.interrupted


def _refused(
    looks: Sequence[HostLook], settings: Settings, limits: Limits, failed: Sequence[str]
) -> Dict[str, Tuple[str, ...]]:
    refused: Dict[str, Tuple[str, ...]] = {}
    spans = _spans(looks, failed)
    for look in looks:
        if _is_ready(look):
            continue
        if look.name in failed:
            refused[look.name] = ("this upgrade failed here before; a new one tries it again",)
        elif look.problems:
            refused[look.name] = look.problems
        elif look.interrupted:
            continue
        elif look.job and settings.drain == SKIP:
            refused[look.name] = (f"job {look.job} runs here, and fleet_upgrade_drain is skip",)
        elif _is_out(look):
            continue
        elif limits.batch < 1:
            reason = f"as many hosts are out of service as may be ({limits.allowed_unavailable} of {limits.hosts})"
            refused[look.name] = (f"{reason}: put some in again, or raise fleet_upgrade_max_unavailable",)
        elif look.job and spans[look.job] > limits.batch:
            reason = f"job {look.job} runs on {spans[look.job]} hosts, and {limits.batch} may leave service together"
            refused[look.name] = (f"{reason}: wait for it, stop it, or raise fleet_upgrade_max_unavailable",)
    return refused


def _spans(looks: Sequence[HostLook], failed: Sequence[str]) -> Dict[str, int]:
    """Return on how many hosts each job runs that would have to leave service for it."""
    spans: Dict[str, int] = {}
    for look in looks:
        if look.job:
            stays = _is_out(look) or _is_ready(look) or look.problems or look.name in failed
            spans[look.job] = spans.get(look.job, 0) + (0 if stays else 1)
    return spans


def _waves(
    going: Sequence[HostLook], settings: Settings, limits: Limits, *, canary_passed: bool, number: int
) -> Tuple[Wave, ...]:
    waves: List[Wave] = []

    def add(kind: str, looks: Sequence[HostLook]) -> None:
        if looks:
            waves.append(Wave(number + len(waves) + 1, kind, tuple(look.name for look in looks)))

    interrupted, left = _interrupted(going, limits)
    add(INTERRUPTED, interrupted)
    # What was interrupted goes first in any case, and so it is the canary when there has been none.
    if not canary_passed and not interrupted and left:
        canary, left = _canary(left, settings, limits)
        add(CANARY, canary)
    sizes = [max(1, share_of(share, limits.hosts, name="fleet_upgrade_waves")) for share in settings.waves]
    while left:
        at = min(number + len(waves), len(sizes) - 1)
        wave, left = _take(left, sizes[at], limits.batch)
        add(BATCH, wave)
    return tuple(waves)


def _interrupted(looks: Sequence[HostLook], limits: Limits) -> Tuple[List[HostLook], List[List[HostLook]]]:
    """Return what goes on, with the rest of its jobs where that may leave service beside it, and what is left."""
    first = [look for look in looks if look.interrupted]
    jobs = {look.job for look in first if look.job}
    room = max(0, limits.batch - sum(1 for look in first if _comes_back(look)))
    left: List[List[HostLook]] = []
    for group in _groups([look for look in looks if not look.interrupted]):
        if group[0].job in jobs and _cost(group) <= room:
            first += group
            room -= _cost(group)
        else:
            left.append(group)
    return first, left


def _groups(looks: Sequence[HostLook]) -> List[List[HostLook]]:
    """Return hosts that drain together, as one job runs on them, in the order of their first ones."""
    groups: Dict[str, List[HostLook]] = {}
    for look in looks:
        groups.setdefault(f"job {look.job}" if look.job else f"host {look.name}", []).append(look)
    return list(groups.values())


def _canary(
    groups: Sequence[List[HostLook]], settings: Settings, limits: Limits
) -> Tuple[List[HostLook], List[List[HostLook]]]:
    """Return the canaries and what is left: the named ones, else one idle host that is in service, if there is any."""
    named = [group for group in groups if any(look.name in settings.canaries for look in group)]
    if named:
        chosen, _ = _take(named, sum(map(len, named)), limits.batch)
    else:
        chosen = min(groups, key=lambda group: (_cost(group) == 0, group[0].job is not None))
    return chosen, [group for group in groups if group[0] not in chosen]


def _take(groups: Sequence[List[HostLook]], size: int, batch: int) -> Tuple[List[HostLook], List[List[HostLook]]]:
    """Return the next wave of about `size` hosts, at most `batch` of them in service, and what is left."""
    wave: List[HostLook] = []
    left: List[List[HostLook]] = []
    for group in groups:
        fits = not wave or len(wave) + len(group) <= size
        if fits and _cost(wave) + _cost(group) <= batch:
            wave += group
        else:
            left.append(group)
    return wave, left


def _cost(looks: Sequence[HostLook]) -> int:
    """Return how many of the hosts leave service by being upgraded."""
    return sum(1 for look in looks if not _is_out(look))
