# SPDX-License-Identifier: Apache-2.0
"""Plan a server's way to the wanted HDK: facts and wish in, steps with reasons (or refusals) out. Pure.

The order is the vendor's. On a server whose chips answer no driver: driver, reboot, firmware, reboot. Over a working
driver: firmware, driver, one reboot. Firmware reaches the chips through a loaded driver, so a driver that does not
answer comes first. A plan is made anew from the host's state after every step and every reboot, so whatever interrupts
it, it goes on from there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import List, Optional, Tuple

from ansible.module_utils.ascend_version import is_older, same_version
from ansible.module_utils.host_problem import Problem

DRIVER = "driver"
FIRMWARE = "firmware"

INSTALL = "install"
UPGRADE = "upgrade"
REBOOT = "reboot"

REBOOT_GUIDE = "guide"
REBOOT_WHEN_REQUIRED = "when_required"


@dataclass(frozen=True)
class Component:
    """Driver or firmware as installed: its version.info and what this boot has seen of it."""

    on_disk: Optional[str]
    written_this_boot: bool
    interrupted: bool
    reboot_owed: bool


@dataclass(frozen=True)
class Chip:
    """A chip that npu-smi answers for, with the versions that run on it."""

    npu_id: int
    chip_id: int
    name: str
    health: str
    error: str
    driver_version: Optional[str]
    firmware_version: Optional[str]
    compatibility: Optional[str]


@dataclass(frozen=True)
class Holder:
    """A process that has an NPU open, and the container it runs in."""

    pid: int
    name: str
    container: Optional[str]


@dataclass(frozen=True)
class HdkFacts:
    """Everything the plan depends on. `headers` is one of present, installable, unknown, missing."""

    architecture: str
    kernel: str
    headers: str
    bus_devices: Tuple[str, ...]
    driver: Component
    firmware: Component
    chips: Tuple[Chip, ...]
    npu_smi_error: Optional[str]
    holders: Tuple[Holder, ...]


@dataclass(frozen=True)
class HdkWish:
    """The wanted versions, what the packages are for, and what the operator allows."""

    driver_version: str
    firmware_version: str
    npu_count: int
    bus_device: str
    architectures: Tuple[str, ...]
    reboot_policy: str
    allow_downgrade: bool
    can_reboot: bool


@dataclass(frozen=True)
class Step:
    """One action on the host; a conditional reboot is left out when the installer does not ask for it."""

    action: str
    component: Optional[str]
    version: Optional[str]
    reason: str
    conditional: bool = False

    def __str__(self) -> str:
        """Say the step as the plan prints it."""
        if self.action == REBOOT:
            return f"reboot{', if the installer asks for it' if self.conditional else ''}: {self.reason}"
        return f"{self.action} {self.component} {self.version}: {self.reason}"


@dataclass(frozen=True)
class HdkPlan:
    """Steps in order; refusals forbid all of them."""

    steps: Tuple[Step, ...]
    refusals: Tuple[Problem, ...]


def plan_hdk(facts: HdkFacts, wish: HdkWish) -> HdkPlan:
    """Return the steps from these facts to the wish, or why there are none to take; no steps when all versions run."""
    steps = _steps(facts, wish)
    refusals = _refusals(facts, wish, steps)
    return HdkPlan(steps=() if refusals else steps, refusals=refusals)


def runs(versions: List[Optional[str]], wanted: str) -> bool:
    """Tell whether there are chips and all of them run the wanted version."""
    return bool(versions) and all(version is not None and _same(version, wanted) for version in versions)


def _steps(facts: HdkFacts, wish: HdkWish) -> Tuple[Step, ...]:
    driver = _driver_step(facts, wish)
    firmware = _firmware_step(facts, wish)
    driver_pending = _reboot_reason(facts.driver, _running_driver(facts), wish.driver_version, DRIVER)
    firmware_pending = _reboot_reason(facts.firmware, _running_firmware(facts), wish.firmware_version, FIRMWARE)
    steps: List[Step] = []
    if driver and firmware and not _driver_answers(facts):
        return (driver, _reboot_after_driver(wish), firmware, _reboot("the firmware runs after a reboot"))
    if driver_pending and firmware:
        return (_reboot(driver_pending), firmware, _reboot("the firmware runs after a reboot"))
    steps += [step for step in (firmware, driver) if step]
    if firmware:
        steps.append(_reboot("the new versions run after a reboot" if driver else "the firmware runs after a reboot"))
    elif firmware_pending or driver_pending:
        steps.append(_reboot(firmware_pending or driver_pending or ""))
    elif driver:
        steps.append(_reboot_after_driver(wish))
    return tuple(steps)


def _driver_step(facts: HdkFacts, wish: HdkWish) -> Optional[Step]:
    """Return how the wanted driver gets on disk, or None when it is there and only a reboot may be due."""
    driver, wanted = facts.driver, wish.driver_version
    if driver.on_disk is None:
        why = "its installation was interrupted" if driver.interrupted else "no driver is installed"
        return Step(INSTALL, DRIVER, wanted, why)
    if driver.interrupted:
        return Step(UPGRADE, DRIVER, wanted, "its installation was interrupted")
    if not _same(driver.on_disk, wanted):
        return Step(UPGRADE, DRIVER, wanted, f"{driver.on_disk} is installed")
    if runs(_running_driver(facts), wanted) or driver.written_this_boot or driver.reboot_owed:
        return None
    if not facts.chips:
        return Step(UPGRADE, DRIVER, wanted, f"it is installed, but not loaded in kernel {facts.kernel}")
    return Step(UPGRADE, DRIVER, wanted, f"it is installed, but {_versions(_running_driver(facts))} runs")


def _firmware_step(facts: HdkFacts, wish: HdkWish) -> Optional[Step]:
    """Return how the wanted firmware gets on disk, or None when it is there and only a reboot may be due."""
    firmware, wanted, running = facts.firmware, wish.firmware_version, _running_firmware(facts)
    if firmware.on_disk is None:
        if runs(running, wanted) and not firmware.interrupted:
            return None
        why = "its installation was interrupted" if firmware.interrupted else "no firmware is installed"
        return Step(INSTALL, FIRMWARE, wanted, why)
    if firmware.interrupted:
        return Step(UPGRADE, FIRMWARE, wanted, "its installation was interrupted")
    if not _same(firmware.on_disk, wanted):
        return Step(UPGRADE, FIRMWARE, wanted, f"{firmware.on_disk} is installed")
    # Which firmware runs is known only through a driver that answers.
    if not facts.chips or runs(running, wanted) or firmware.written_this_boot or firmware.reboot_owed:
        return None
    behind = [str(chip.npu_id) for chip in facts.chips if not runs([chip.firmware_version], wanted)]
    return Step(UPGRADE, FIRMWARE, wanted, f"NPU {', '.join(behind)} runs {_versions(running, but_not=wanted)}")


def _reboot_reason(component: Component, running: List[Optional[str]], wanted: str, name: str) -> Optional[str]:
    """Say why the wanted version, which is on disk, needs a reboot; None when it needs none."""
    if component.on_disk is None or component.interrupted or not _same(component.on_disk, wanted):
        return None
    if component.reboot_owed:
        return f"{name} {wanted} was installed in this boot"
    if component.written_this_boot and not runs(running, wanted):
        return f"{name} {wanted} is installed, {_versions(running)} runs"
    return None


def _reboot(reason: str) -> Step:
    return Step(REBOOT, None, None, reason)


def _reboot_after_driver(wish: HdkWish) -> Step:
    conditional = wish.reboot_policy == REBOOT_WHEN_REQUIRED
    return Step(REBOOT, None, None, "the driver is loaded by a reboot", conditional=conditional)


def _driver_answers(facts: HdkFacts) -> bool:
    """Tell whether firmware can be written before the driver: an installed driver whose chips answer."""
    return facts.driver.on_disk is not None and bool(facts.chips)


def _running_driver(facts: HdkFacts) -> List[Optional[str]]:
    return [chip.driver_version for chip in facts.chips]


def _running_firmware(facts: HdkFacts) -> List[Optional[str]]:
    return [chip.firmware_version for chip in facts.chips]


def _versions(versions: List[Optional[str]], but_not: Optional[str] = None) -> str:
    named = sorted({version or "an unknown version" for version in versions if version != but_not})
    return " and ".join(named) or "none"


def _same(left: str, right: str) -> bool:
    try:
        return same_version(left, right)
    except ValueError:
        return left.strip().lower() == right.strip().lower()


def _refusals(facts: HdkFacts, wish: HdkWish, steps: Tuple[Step, ...]) -> Tuple[Problem, ...]:
    if not steps:
        return ()
    found = [
        _wrong_chips(facts, wish),
        _wrong_architecture(facts, wish),
        _missing_headers(facts, steps),
        _device_in_use(facts),
        _reboots_itself(wish, steps),
    ]
    installed = {DRIVER: [facts.driver.on_disk], FIRMWARE: [facts.firmware.on_disk]}
    installed[DRIVER] += _running_driver(facts)
    installed[FIRMWARE] += _running_firmware(facts)
    found += [_downgrade(step, installed[step.component], wish) for step in steps if step.component is not None]
    return tuple(problem for problem in found if problem)


def bus_problem(bus_devices: Tuple[str, ...], wanted_device: str, npu_count: int) -> Optional[Problem]:
    """Compare the Ascend chips on the PCI bus with the wanted ones; None when they are all there."""
    found = bus_devices.count(wanted_device)
    if found == npu_count:
        return None
    others = sorted(set(bus_devices) - {wanted_device})
    also = f", and other Ascend devices: {', '.join(others)}" if others else ""
    return Problem(
        check="chips",
        value=f"{found} chips 19e5:{wanted_device} on the PCI bus{also}",
        rule=f"ascend_npu_count is {npu_count}",
        next_step="mend ascend_npu_count, or look for the missing chips with lspci -d 19e5: and power cycle",
    )


def _wrong_chips(facts: HdkFacts, wish: HdkWish) -> Optional[Problem]:
    return bus_problem(facts.bus_devices, wish.bus_device, wish.npu_count)


def _wrong_architecture(facts: HdkFacts, wish: HdkWish) -> Optional[Problem]:
    if facts.architecture in wish.architectures:
        return None
    return Problem(
        check="package_architecture",
        value=f"this host is {facts.architecture}",
        rule=f"the packages are for {', '.join(wish.architectures) or 'no architecture'}",
        next_step=f"put the HDK package for {facts.architecture} into ascend_hdk_package_dir and its lock file",
    )


def _missing_headers(facts: HdkFacts, steps: Tuple[Step, ...]) -> Optional[Problem]:
    if facts.headers != "missing" or not any(step.component == DRIVER for step in steps):
        return None
    return Problem(
        check="kernel_headers",
        value=f"no /lib/modules/{facts.kernel}/build, and the package manager knows no headers for this kernel",
        rule="the driver's modules are built against the headers of the running kernel",
        next_step=f"offer the headers of {facts.kernel} in a repository of this host, or boot a kernel that has them",
    )


def _device_in_use(facts: HdkFacts) -> Optional[Problem]:
    held = [f"{h.name} (pid {h.pid}{f', container {h.container}' if h.container else ''})" for h in facts.holders]
    if not held and facts.npu_smi_error and "-8020" in facts.npu_smi_error:
        held = [facts.npu_smi_error]
    if not held:
        return None
    return Problem(
        check="device_in_use",
        value=", ".join(held),
        rule="nothing may use the NPUs while the HDK changes or the server reboots",
        next_step="stop the job (telechat-run stop) or these processes and containers, then run again",
    )


def _reboots_itself(wish: HdkWish, steps: Tuple[Step, ...]) -> Optional[Problem]:
    if wish.can_reboot or not any(step.action == REBOOT for step in steps):
        return None
    return Problem(
        check="reboot",
        value="ansible_connection is local",
        rule="the plan reboots the server, which would end this very run",
        next_step="run it from another machine over SSH",
    )


def _downgrade(step: Step, installed: List[Optional[str]], wish: HdkWish) -> Optional[Problem]:
    newer = [version for version in installed if version and step.version and _older(step.version, version)]
    if wish.allow_downgrade or not newer:
        return None
    return Problem(
        check=f"{step.component}_downgrade",
        value=f"{step.component} {newer[0]} is installed",
        rule=f"{step.version} is older, and an older driver than the flash's own version is refused by the installer",
        next_step="set ascend_hdk_release to the installed release or a newer one, or ascend_hdk_allow_downgrade: true",
    )


def _older(left: str, right: str) -> bool:
    try:
        return is_older(left, right)
    except ValueError:
        return False
