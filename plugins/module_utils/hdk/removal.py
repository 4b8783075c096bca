# SPDX-License-Identifier: Apache-2.0
"""Plan a server's way back to bare: containers stopped, firmware and driver uninstalled, nothing left behind. Pure.

Each component is uninstalled by its own script, from the folder that it is installed in. What no script can remove (a
half installed driver, the DKMS tree of a failed build) is removed by path. A bare server has no steps.
"""

from __future__ import annotations

from typing import List, Tuple

from ansible.module_utils.hdk.estimate import with_seconds
from ansible.module_utils.hdk.refusals import removal_refusals
from ansible.module_utils.hdk.state import (
    CLEAN,
    DRIVER,
    FIRMWARE,
    IF_LEFT,
    IF_STILL_LOADED,
    REBOOT,
    REBOOT_WHEN_REQUIRED,
    STOP,
    UNINSTALL,
    Component,
    Container,
    HdkFacts,
    HdkPlan,
    HdkWish,
    Step,
)

UNINSTALLED = Step(REBOOT, None, None, "the driver was uninstalled in this boot")
CLEAN_IF_LEFT = Step(CLEAN, None, None, "a later installation would stumble over it", IF_LEFT)


def plan_removal(facts: HdkFacts, wish: HdkWish) -> HdkPlan:
    """Return the steps that make a server bare, or why there are none to take; no steps when it is."""
    steps = [*uninstall_steps([(DRIVER, facts.driver), (FIRMWARE, facts.firmware)])]
    if facts.leftovers:
        steps.append(clean_leftovers(facts.leftovers))
    elif steps:
        steps.append(CLEAN_IF_LEFT)
    steps += _reboot(facts, wish, gone=uninstalls_driver(tuple(steps)))
    if steps:
        steps = [*_stops(facts), *steps]
    planned = with_seconds(tuple(steps), facts, wish)
    forbidden = removal_refusals(facts, wish, planned)
    return HdkPlan(steps=() if forbidden else planned, refusals=forbidden)


def uninstall_steps(parts: List[Tuple[str, Component]]) -> Tuple[Step, ...]:
    """Return the steps that the scripts of these components take, firmware first."""
    return tuple(_uninstall(part, name) for name, part in reversed(parts) if part.script)


def uninstalls_driver(steps: Tuple[Step, ...]) -> bool:
    """Tell whether the driver's script is among the steps."""
    return any(step.action == UNINSTALL and step.component == DRIVER for step in steps)


def clean_leftovers(targets: Tuple[str, ...]) -> Step:
    """Return the step that removes what no script does."""
    return Step(CLEAN, None, None, "no script removes it", targets=targets)


def must_reboot(facts: HdkFacts, wish: HdkWish) -> bool:
    """Tell whether a reboot is due after the driver was uninstalled in this boot."""
    driver = facts.driver
    return driver.removed and (driver.reboot_owed or facts.driver_loaded or wish.reboot_policy != REBOOT_WHEN_REQUIRED)


def reboot_after_uninstall(wish: HdkWish) -> Step:
    """Return the reboot after the driver's uninstall script, which tells whether its modules are out of the kernel."""
    condition = IF_STILL_LOADED if wish.reboot_policy == REBOOT_WHEN_REQUIRED else None
    return Step(REBOOT, None, None, "the driver leaves the kernel by a reboot", condition)


def _stops(facts: HdkFacts) -> List[Step]:
    return [
        Step(STOP, None, None, _why_stopped(container), targets=(container.name,)) for container in facts.containers
    ]


def _why_stopped(container: Container) -> str:
    if container.devices:
        return "it has the NPUs"
    return "the uninstall script refuses while it runs" if container.refused else "it mounts the driver"


def _uninstall(component: Component, name: str) -> Step:
    half = "half " if component.missing or component.interrupted else ""
    reason = f"it is {half}installed in {component.home}"
    return Step(UNINSTALL, name, component.on_disk, reason, targets=(component.home,))


def _reboot(facts: HdkFacts, wish: HdkWish, *, gone: bool) -> List[Step]:
    if gone:
        return [reboot_after_uninstall(wish)]
    if must_reboot(facts, wish):
        return [UNINSTALLED]
    if facts.driver_loaded:
        return [Step(REBOOT, None, None, "the kernel still has the driver")]
    return []
