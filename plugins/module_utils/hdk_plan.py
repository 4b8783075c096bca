# SPDX-License-Identifier: Apache-2.0
"""Plan a server's way to the wanted HDK: facts and wish in, steps with reasons (or refusals) out. Pure.

The order is the vendor's. On a server whose chips answer no driver: driver, reboot, firmware, reboot. Over a working
driver: firmware, driver, one reboot. Firmware is written by the tool of the driver on disk through the driver that
runs, so a driver that does not answer, or is not the one on disk, comes first. A plan is made anew from the host's
state after every step and every reboot, so whatever interrupts it, it goes on from there.
"""

from __future__ import annotations

from typing import List, Optional, Tuple

from ansible.module_utils.hdk_refusals import refusals
from ansible.module_utils.hdk_state import (
    DRIVER,
    FIRMWARE,
    IF_FIRMWARE_WRITTEN,
    IF_INSTALLER_ASKS,
    IF_NOT_RUNNING,
    INSTALL,
    REBOOT,
    REBOOT_WHEN_REQUIRED,
    UPGRADE,
    Component,
    HdkFacts,
    HdkPlan,
    HdkWish,
    Step,
    running_driver,
    running_firmware,
    runs,
    same,
)


def plan_hdk(facts: HdkFacts, wish: HdkWish) -> HdkPlan:
    """Return the steps from these facts to the wish, or why there are none to take; no steps when all versions run."""
    steps = _steps(facts, wish)
    forbidden = refusals(facts, wish, steps)
    return HdkPlan(steps=() if forbidden else steps, refusals=forbidden)


def _steps(facts: HdkFacts, wish: HdkWish) -> Tuple[Step, ...]:
    driver = _driver_step(facts, wish)
    firmware = _firmware_step(facts, wish)
    driver_pending = _reboot_reason(facts.driver, running_driver(facts), wish.driver_version, DRIVER)
    firmware_pending = _reboot_reason(facts.firmware, running_firmware(facts), wish.firmware_version, FIRMWARE)
    steps: List[Step] = []
    if driver and firmware and not _driver_answers(facts):
        return (driver, _reboot_after_driver(wish), firmware, _reboot_after_firmware(firmware))
    if driver_pending and firmware:
        return (_reboot(driver_pending), firmware, _reboot_after_firmware(firmware))
    steps += [step for step in (firmware, driver) if step]
    if firmware:
        steps.append(_reboot("the new versions run after a reboot") if driver else _reboot_after_firmware(firmware))
    elif firmware_pending or driver_pending:
        steps.append(_reboot(firmware_pending or driver_pending or ""))
    elif driver:
        steps.append(_reboot_after_driver(wish))
    return tuple(steps)


def _driver_step(facts: HdkFacts, wish: HdkWish) -> Optional[Step]:
    """Return how the wanted driver gets on disk, or None when it is there and only a reboot may be due."""
    driver, wanted = facts.driver, wish.driver_version
    if driver.on_disk is None:
        why = "its last installation did not finish" if driver.interrupted else "no driver is installed"
        return Step(INSTALL, DRIVER, wanted, why)
    if driver.interrupted:
        # Half a driver may have lost for whom it was installed; only a full installation says it anew.
        return Step(UPGRADE if facts.chips else INSTALL, DRIVER, wanted, "its last installation did not finish")
    if not same(driver.on_disk, wanted):
        return Step(UPGRADE, DRIVER, wanted, f"{driver.on_disk} is installed")
    if runs(running_driver(facts), wanted) or driver.written_this_boot or driver.reboot_owed:
        return None
    if not facts.chips:
        return Step(UPGRADE, DRIVER, wanted, f"it is installed, but not loaded in kernel {facts.kernel}")
    return Step(UPGRADE, DRIVER, wanted, f"it is installed, but {_versions(running_driver(facts))} runs")


def _firmware_step(facts: HdkFacts, wish: HdkWish) -> Optional[Step]:
    """Return how the wanted firmware gets on disk, or None when it is there and only a reboot may be due."""
    firmware, wanted, running = facts.firmware, wish.firmware_version, running_firmware(facts)
    if firmware.on_disk is None:
        return _first_firmware_step(facts, wish)
    if firmware.interrupted:
        return Step(UPGRADE, FIRMWARE, wanted, "its last installation did not finish")
    if not same(firmware.on_disk, wanted):
        return Step(UPGRADE, FIRMWARE, wanted, f"{firmware.on_disk} is installed")
    # Which firmware runs is known only through a driver that answers.
    if not facts.chips or runs(running, wanted) or firmware.written_this_boot or firmware.reboot_owed:
        return None
    behind = [str(chip.npu_id) for chip in facts.chips if not runs([chip.firmware_version], wanted)]
    return Step(UPGRADE, FIRMWARE, wanted, f"NPU {', '.join(behind)} runs {_versions(running, but_not=wanted)}")


def _first_firmware_step(facts: HdkFacts, wish: HdkWish) -> Optional[Step]:
    """Return the step where no firmware is on disk; the chips keep theirs when its files are removed."""
    wanted = wish.firmware_version
    if facts.firmware.interrupted:
        return Step(INSTALL, FIRMWARE, wanted, "its last installation did not finish")
    if runs(running_firmware(facts), wanted):
        return None
    return Step(INSTALL, FIRMWARE, wanted, "no firmware is installed", None if facts.chips else IF_NOT_RUNNING)


def _reboot_reason(component: Component, running: List[Optional[str]], wanted: str, name: str) -> Optional[str]:
    """Say why the wanted version, which is on disk, needs a reboot; None when it needs none."""
    if component.on_disk is None or component.interrupted or not same(component.on_disk, wanted):
        return None
    if component.reboot_owed:
        return f"{name} {wanted} was installed in this boot"
    if component.written_this_boot and not runs(running, wanted):
        return f"{name} {wanted} is installed, {_versions(running)} runs"
    return None


def _reboot(reason: str) -> Step:
    return Step(REBOOT, None, None, reason)


def _reboot_after_driver(wish: HdkWish) -> Step:
    condition = IF_INSTALLER_ASKS if wish.reboot_policy == REBOOT_WHEN_REQUIRED else None
    return Step(REBOOT, None, None, "the driver is loaded by a reboot", condition)


def _reboot_after_firmware(firmware: Step) -> Step:
    condition = IF_FIRMWARE_WRITTEN if firmware.condition else None
    return Step(REBOOT, None, None, "the firmware runs after a reboot", condition)


def _driver_answers(facts: HdkFacts) -> bool:
    """Tell whether firmware can be written now: the driver on disk, which has the tool for it, is the one that runs."""
    return facts.driver.on_disk is not None and runs(running_driver(facts), facts.driver.on_disk)


def _versions(versions: List[Optional[str]], but_not: Optional[str] = None) -> str:
    named = sorted({version or "an unknown version" for version in versions if version != but_not})
    return " and ".join(named) or "none"
