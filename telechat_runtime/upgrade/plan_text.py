# SPDX-License-Identifier: Apache-2.0
"""The plan of a fleet upgrade as lines for the operator, before anything is touched."""

from __future__ import annotations

import shlex
from typing import List, Mapping, Sequence

from telechat_runtime.upgrade.plan import CHECKPOINT, HostLook, UpgradePlan, Wave

_MINUTE = 60


def plan_lines(
    plan: UpgradePlan, looks: Sequence[HostLook], *, release: str, drain: str, scheduler: Sequence[Sequence[str]] = ()
) -> List[str]:
    """Return a line a host: wave, what will happen, how long; the refused with their reasons; the fleet's total.

    `scheduler` are the commands that drain a node in the site's own scheduler and return it there, as for one node.
    """
    by_name = {look.name: look for look in looks}
    lines = []
    for wave in plan.waves:
        lines.append(_wave_line(wave, by_name))
        lines += [f"  {_host_line(by_name[name], drain)}" for name in wave.hosts]
    lines += [f"refused: {name}: {'; '.join(reasons)}" for name, reasons in plan.refused.items()]
    if plan.ready:
        lines.append(f"nothing to do on {len(plan.ready)} of {plan.limits.hosts} hosts")
    lines += [
        f"{when} of each node, as for this one: {shlex.join(command)}"
        for when, command in zip(("before the work", "after the work"), scheduler)
        if command and plan.waves
    ]
    jobs = any(by_name[name].job for wave in plan.waves for name in wave.hosts)
    return [*lines, *_total(plan, release, jobs=jobs)]


def _wave_line(wave: Wave, looks: Mapping[str, HostLook]) -> str:
    seconds = max(looks[name].seconds for name in wave.hosts)
    return f"wave {wave.number} ({wave.kind}): {_many(len(wave.hosts), 'host')}{_about(seconds)}"


def _host_line(look: HostLook, drain: str) -> str:
    what = list(look.work)
    if look.interrupted:
        what.insert(0, "goes on where it was interrupted")
    if look.job:
        how = "is stopped after its next checkpoint" if drain == CHECKPOINT else "is waited for"
        what.insert(0, f"job {look.job} {how}")
    if look.out and not look.interrupted:
        what.append(f"out of service before: {look.out}")
    return f"{look.name}: {'; '.join(what)}"


def _total(plan: UpgradePlan, release: str, *, jobs: bool) -> List[str]:
    limits = plan.limits
    count = sum(len(wave.hosts) for wave in plan.waves)
    waves = f"{count} of {_many(limits.hosts, 'host')} in {_many(len(plan.waves), 'wave')}"
    time = _about(plan.seconds) + (" and what the jobs take" if jobs else "")
    already = f", {len(plan.out)} out already" if plan.out else ""
    most = f"at most {_many(limits.allowed_unavailable, 'host')} out of service{already}"
    return [
        f"{release}: {waves}{time}; {len(plan.refused)} refused",
        f"{most}; a wave takes out at most {limits.batch}; {limits.max_failures} may fail before it stops",
    ]


def _many(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def _about(seconds: int) -> str:
    return f", about {max(1, round(seconds / _MINUTE))} min" if seconds else ""
