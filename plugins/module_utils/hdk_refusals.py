# SPDX-License-Identifier: Apache-2.0
"""What forbids an HDK plan, each with its next step: the installers would refuse it, or work would be lost. Pure."""

from __future__ import annotations

from typing import List, Optional, Tuple

from ansible.module_utils.ascend_version import is_older
from ansible.module_utils.hdk_state import (
    DRIVER,
    FIRMWARE,
    REBOOT,
    HdkFacts,
    HdkWish,
    Step,
    running_driver,
    running_firmware,
)
from ansible.module_utils.host_problem import Problem


def refusals(facts: HdkFacts, wish: HdkWish, steps: Tuple[Step, ...]) -> Tuple[Problem, ...]:
    """Return every reason not to take these steps; none when there is nothing to do."""
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
    installed[DRIVER] += running_driver(facts)
    installed[FIRMWARE] += running_firmware(facts)
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
        rule=f"{step.version} is older; and below what the chips' flash allows, the installer refuses",
        next_step="set ascend_hdk_release to the installed release or a newer one, or ascend_hdk_allow_downgrade: true",
    )


def _older(left: str, right: str) -> bool:
    try:
        return is_older(left, right)
    except ValueError:
        return False
