# SPDX-License-Identifier: Apache-2.0
"""Carry out a host's HDK plan up to its next reboot: look, take the first step, look again."""

from __future__ import annotations

from typing import Callable, List

from ansible.module_utils.hdk import clean as hdk_clean
from ansible.module_utils.hdk import containers as hdk_containers
from ansible.module_utils.hdk import steps as hdk_steps
from ansible.module_utils.hdk.look import HdkLook
from ansible.module_utils.hdk.state import ABSENT, CLEAN, REBOOT, START, STOP, UNINSTALL, Step
from ansible.module_utils.hdk.steps import Host, StepError

# More than the longest plan has: a host whose state never settles must not be installed to for ever.
_MOST_STEPS = 16


def converge(look: Callable[[], HdkLook], host: Host) -> HdkLook:
    """Take the plan's steps until it is empty, refused, or begins with a reboot; return the last look.

    Raises StepError.
    """
    done: List[Step] = []
    seen = look()
    while work_left(seen):
        step = seen.plan.steps[0]
        if len(done) == _MOST_STEPS:
            raise StepError(f"after {_MOST_STEPS} steps this is still to do: {'; '.join(map(str, seen.plan.steps))}")
        if step in done:
            raise StepError(f"{step}: it was done, and is still to do; read {hdk_steps.LOG_FOLDER} on the host")
        host.run.begin(str(step))
        _take(step, seen, host)
        host.run.finish()
        done.append(step)
        seen = look()
    return seen


def work_left(seen: HdkLook) -> bool:
    """Tell whether the plan has a step before its next reboot."""
    return bool(seen.plan.steps) and seen.plan.steps[0].action != REBOOT


def _take(step: Step, seen: HdkLook, host: Host) -> None:
    if step.action == UNINSTALL:
        hdk_steps.uninstall(step, host)
    elif step.action == CLEAN:
        hdk_clean.clean(step, host)
    elif step.action == STOP:
        stop = hdk_containers.stop_for_good if seen.wish.state == ABSENT else hdk_containers.stop
        stop(step, host)
    elif step.action == START:
        hdk_containers.start(step, host)
    else:
        hdk_steps.install(step, seen, host)
