# SPDX-License-Identifier: Apache-2.0
"""Plan a server's way to the wanted HDK: facts and wish in, steps with reasons (or refusals) out. Pure.

The order is the vendor's. On a server whose chips answer no driver: driver, reboot, firmware, reboot. Over a working
driver: firmware, driver, one reboot. Firmware is written by the tool of the driver on disk through the driver that
runs, so a driver that does not answer, or is not the one on disk, comes first. A plan is made anew from the host's
state after every step and every reboot, so whatever interrupts it, it goes on from there.
"""

from __future__ import annotations

from dataclasses import replace
from typing import List, Optional, Tuple

from ansible.module_utils.hdk.estimate import with_seconds
from ansible.module_utils.hdk.foreign import foreign_parts, user_fits
from ansible.module_utils.hdk.refusals import refusals
from ansible.module_utils.hdk.removal import (
    CLEAN_IF_LEFT,
    UNINSTALLED,
    clean_leftovers,
    must_reboot,
    plan_removal,
    reboot_after_uninstall,
    uninstall_steps,
    uninstalls_driver,
)
from ansible.module_utils.hdk.state import (
    ABSENT,
    ASCEND_HOME,
    CLEAN,
    DKMS_TREE,
    DRIVER,
    FAILED_TREE,
    FIRMWARE,
    IF_FIRMWARE_WRITTEN,
    IF_INSTALLER_ASKS,
    IF_NOT_RUNNING,
    INSTALL,
    INSTALL_INFO,
    NO_TREE,
    REBOOT,
    REBOOT_WHEN_REQUIRED,
    REINSTALL,
    START,
    STOP,
    UNKNOWN,
    UPGRADE,
    Component,
    HdkFacts,
    HdkPlan,
    HdkWish,
    Step,
    changes_driver,
    driver_runs,
    firmware_runs,
    running_driver,
    running_firmware,
    runs,
    same,
)
from ansible.module_utils.hdk.verdict import hdk_problems


def plan_hdk(facts: HdkFacts, wish: HdkWish) -> HdkPlan:
    """Return the steps from these facts to the wish, or why there are none to take; no steps when all versions run."""
    if wish.state == ABSENT:
        return plan_removal(facts, wish)
    steps = with_seconds(_around_containers(_steps(facts, wish), facts, wish), facts, wish)
    forbidden = refusals(facts, wish, steps)
    return HdkPlan(steps=() if forbidden else steps, refusals=forbidden, held_up=steps if forbidden else ())


def _steps(facts: HdkFacts, wish: HdkWish) -> Tuple[Step, ...]:
    going = foreign_parts(facts, wish)
    if going:
        return _reinstallation(facts, wish, going)
    return _with_owed_reboot(facts, wish)


def _around_containers(steps: Tuple[Step, ...], facts: HdkFacts, wish: HdkWish) -> Tuple[Step, ...]:
    """Return the steps between a stop and a start of the project's own container, where they need one.

    The driver's installer refuses while it runs, idle or not, so that it is stopped before anything is changed. What is
    stopped is started when all is done; not on a server that is not well, which has problems then.
    """
    stops: List[Step] = []
    if facts.driver_loaded and changes_driver(steps):
        reason = "the driver's installer refuses while it runs, be it idle"
        ours = [container.name for container in facts.containers if container.refused and container.ours]
        stops = [Step(STOP, None, None, reason, targets=(name,)) for name in ours]
    names = sorted({*facts.stopped, *(name for step in stops for name in step.targets)})
    if not steps and hdk_problems(facts, wish):
        return ()
    starts = [Step(START, None, None, "it was stopped for the driver", targets=(name,)) for name in names]
    return (*stops, *steps, *starts)


def _reinstallation(facts: HdkFacts, wish: HdkWish, going: List[Tuple[str, Component]]) -> Tuple[Step, ...]:
    """Return the steps that take away what no installer goes over, and those of the server as it is then."""
    removal = uninstall_steps(going)
    by_path = tuple(path for path in facts.leftovers if _goes_by_path(path, going))
    left = _without(facts, going)
    if uninstalls_driver(removal):
        after = (reboot_after_uninstall(wish), *_installation(_rebooted(left), wish))
    else:
        after = _with_owed_reboot(left, wish)
    cleans: Tuple[Step, ...] = (clean_leftovers(by_path),) if by_path else ()
    if removal and not (after and after[0].action == CLEAN):
        cleans += (CLEAN_IF_LEFT,)
    return (*removal, *cleans, *after)


def _goes_by_path(path: str, going: List[Tuple[str, Component]]) -> bool:
    """Tell whether a leftover belongs to what goes and has no script."""
    by_path = [name for name, part in going if not part.script]
    if path == INSTALL_INFO:
        return bool(by_path)
    return (FIRMWARE if path == f"{ASCEND_HOME}/{FIRMWARE}" else DRIVER) in by_path


def _without(facts: HdkFacts, going: List[Tuple[str, Component]]) -> HdkFacts:
    """Return what a look will find once these components are gone."""
    written = facts.firmware.written_this_boot
    gone = {name: Component(None, False, False, False, removed=part.removed) for name, part in going}
    facts = replace(facts, driver=gone.get(DRIVER, facts.driver), firmware=gone.get(FIRMWARE, facts.firmware))
    if not (facts.driver.named or facts.firmware.named):
        facts = replace(facts, user=None, group=None)
    if DRIVER in gone:
        # The chips keep their firmware; what was written in this boot runs only when they are seen again.
        kept = () if written else facts.chips
        chips = tuple(replace(chip, driver_version=None) for chip in kept)
        facts = replace(facts, chips=chips, dkms_tree=NO_TREE, driver_module=False)
    return facts


def _rebooted(facts: HdkFacts) -> HdkFacts:
    """Return what a look will find of driver and firmware after a reboot, as far as that can be told before."""
    driver = replace(facts.driver, written_this_boot=False, reboot_owed=False, removed=False)
    firmware = replace(facts.firmware, written_this_boot=False, reboot_owed=False, removed=False)
    return replace(facts, driver=driver, firmware=firmware)


def _with_owed_reboot(facts: HdkFacts, wish: HdkWish) -> Tuple[Step, ...]:
    """Return the steps, with the reboot between a reinstallation's halves; uninstalled otherwise counts as fresh."""
    if wish.foreign != REINSTALL or not must_reboot(facts, wish):
        return _installation(facts, wish)
    steps = _installation(_rebooted(facts), wish)
    cleans = tuple(step for step in steps if step.action == CLEAN)
    return (*cleans, UNINSTALLED, *steps[len(cleans) :])


def _installation(facts: HdkFacts, wish: HdkWish) -> Tuple[Step, ...]:
    driver = _driver_step(facts, wish)
    firmware = _firmware_step(facts, wish)
    clean = _clean_step(facts, wish) if driver else ()
    driver_pending = _reboot_reason(facts, wish, DRIVER)
    firmware_pending = _reboot_reason(facts, wish, FIRMWARE)
    if firmware and firmware.condition and not driver and not driver_pending:
        # Nothing that comes before would tell what the chips run.
        firmware = None
    if driver and firmware and not _driver_answers(facts):
        return (*clean, driver, _reboot_after_driver(wish), firmware, _reboot_after_firmware(firmware))
    if driver_pending and firmware:
        return (_reboot(driver_pending), firmware, _reboot_after_firmware(firmware))
    steps = [step for step in (firmware, *clean, driver) if step]
    if firmware:
        steps.append(_reboot("the new versions run after a reboot") if driver else _reboot_after_firmware(firmware))
    elif firmware_pending or driver_pending:
        steps.append(_reboot(firmware_pending or driver_pending or ""))
    elif driver:
        steps.append(_reboot_after_driver(wish))
    return tuple(steps)


def _clean_step(facts: HdkFacts, wish: HdkWish) -> Tuple[Step, ...]:
    """Return the step that takes away what the driver's installer would stumble over."""
    targets = [DKMS_TREE] if _tree_is_left(facts) else []
    if not facts.driver.named and not facts.firmware.named and not user_fits(facts, wish):
        targets.append(INSTALL_INFO)
    if not targets:
        return ()
    return (Step(CLEAN, None, None, "it is left of another installation", targets=tuple(targets)),)


def _tree_is_left(facts: HdkFacts) -> bool:
    """Tell whether DKMS's tree belongs to no driver that works: a failed build's, or a removed driver's."""
    driver = facts.driver
    whole = driver.on_disk is not None and not driver.missing
    if facts.dkms_tree == NO_TREE or (whole and facts.driver_module):
        return False
    # An installer takes away the tree of what it replaces, which is what the install info names.
    return facts.dkms_tree == FAILED_TREE or not (driver.script and driver.named)


def _driver_step(facts: HdkFacts, wish: HdkWish) -> Optional[Step]:
    """Return how the wanted driver gets on disk, or None when it is there and only a reboot may be due."""
    driver, wanted = facts.driver, wish.driver_version
    half = _half(driver)
    if driver.on_disk is None:
        return Step(INSTALL, DRIVER, wanted, half or "no driver is installed")
    if half:
        # Half a driver may have lost for whom it was installed; only a full installation says it anew.
        return Step(_driver_upgrade(facts) if facts.chips else INSTALL, DRIVER, wanted, half)
    if not same(driver.on_disk, wanted):
        return Step(_driver_upgrade(facts), DRIVER, wanted, f"{driver.on_disk} is installed")
    # What npu-smi does not tell is no reason to install: that is a problem of its own (verdict.py).
    if driver_runs(facts, wanted) is not False or driver.written_this_boot or driver.reboot_owed:
        return None
    return Step(_driver_upgrade(facts), DRIVER, wanted, f"it is installed, but {_why_it_does_not_run(facts)}")


def _half(component: Component) -> Optional[str]:
    """Say why a component is half installed; None when it is not, or no more than a reboot is known to be due."""
    if component.interrupted:
        return "its last installation did not finish"
    if component.missing and not component.reboot_owed:
        return f"its last installation did not finish: {', '.join(component.missing)} is not there"
    return None


def _driver_upgrade(facts: HdkFacts) -> str:
    """Return how an installer goes over a driver: root's, which is not for all, takes a full installation."""
    return INSTALL if facts.user == "root" and not facts.for_all else UPGRADE


def _firmware_install(wish: HdkWish) -> str:
    """Return how firmware comes where none is: for root by --upgrade, as --full may be refused (unverified)."""
    return UPGRADE if wish.user == "root" else INSTALL


def _why_it_does_not_run(facts: HdkFacts) -> str:
    if facts.chips:
        return f"{_versions(running_driver(facts))} runs"
    if not facts.driver_module:
        return f"has no module for kernel {facts.kernel}"
    return f"is not loaded in kernel {facts.kernel}"


def _firmware_step(facts: HdkFacts, wish: HdkWish) -> Optional[Step]:
    """Return how the wanted firmware gets on disk, or None when it is there and only a reboot may be due."""
    firmware, wanted = facts.firmware, wish.firmware_version
    if firmware.on_disk is None:
        return _first_firmware_step(facts, wish)
    if firmware.interrupted:
        return Step(UPGRADE, FIRMWARE, wanted, "its last installation did not finish")
    if not same(firmware.on_disk, wanted):
        return Step(UPGRADE, FIRMWARE, wanted, f"{firmware.on_disk} is installed")
    # Which firmware runs is known only through a driver that answers.
    if not facts.chips or firmware_runs(facts, wanted) is not False or firmware.written_this_boot:
        return None
    behind = [chip for chip in facts.chips if runs([chip.firmware_version], wanted) is False]
    numbers = ", ".join(str(chip.npu_id) for chip in behind)
    return Step(
        UPGRADE, FIRMWARE, wanted, f"NPU {numbers} runs {_versions([chip.firmware_version for chip in behind])}"
    )


def _first_firmware_step(facts: HdkFacts, wish: HdkWish) -> Optional[Step]:
    """Return the step where no firmware is on disk; the chips keep theirs when its files are removed."""
    half = _half(facts.firmware)
    if half:
        return Step(_firmware_install(wish), FIRMWARE, wish.firmware_version, half)
    running = firmware_runs(facts, wish.firmware_version)
    if running or (running is None and _driver_answers(facts)):
        return None
    return _fresh_firmware(wish, None if facts.chips and running is False else IF_NOT_RUNNING)


def _fresh_firmware(wish: HdkWish, condition: Optional[str]) -> Step:
    return Step(_firmware_install(wish), FIRMWARE, wish.firmware_version, "no firmware is installed", condition)


def _reboot_reason(facts: HdkFacts, wish: HdkWish, name: str) -> Optional[str]:
    """Say why the wanted version, which is on disk, needs a reboot; None when it needs none."""
    if name == DRIVER:
        component, wanted, running = facts.driver, wish.driver_version, running_driver(facts)
        is_running = driver_runs(facts, wanted)
    else:
        component, wanted, running = facts.firmware, wish.firmware_version, running_firmware(facts)
        is_running = firmware_runs(facts, wanted)
    if component.on_disk is None or _half(component) or not same(component.on_disk, wanted):
        return None
    if component.reboot_owed:
        return f"{name} {wanted} was installed in this boot"
    if component.written_this_boot and is_running is False:
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
    driver = facts.driver
    return driver.on_disk is not None and not driver.missing and bool(driver_runs(facts, driver.on_disk))


def _versions(versions: List[Optional[str]]) -> str:
    """Name the versions that are known."""
    return " and ".join(sorted({version for version in versions if version and version != UNKNOWN})) or "none"
