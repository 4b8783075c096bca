# SPDX-License-Identifier: Apache-2.0
"""What forbids an HDK plan, each with its next step: the installers would refuse it, or work would be lost. Pure."""

from __future__ import annotations

from typing import List, Optional, Tuple

from ansible.module_utils.ascend.version import is_older
from ansible.module_utils.hdk import foreign as hdk_foreign
from ansible.module_utils.hdk.state import (
    ASCEND_HOME,
    DRIVER,
    INSTALL,
    INSTALL_INFO,
    MANAGER,
    REBOOT,
    REFUSE,
    START,
    UPGRADE,
    HdkFacts,
    HdkWish,
    Holder,
    Step,
    changes_driver,
    running_driver,
    running_firmware,
)
from ansible.module_utils.host_problem import Problem

# Update repositories are ahead of the installation medium's kernel, which is the one that runs.
HEADERS_REMEDIES = (
    "make the medium that this host was installed from a repository, as it has the packages of {kernel};"
    " or update the kernel, reboot, and run again"
)


def refusals(facts: HdkFacts, wish: HdkWish, steps: Tuple[Step, ...]) -> Tuple[Problem, ...]:
    """Return every reason not to take these steps; none when there is nothing to do."""
    foreign = _foreign(facts, wish)
    if all(step.action == START for step in steps):
        return (foreign,) if foreign else ()
    found = [
        _wrong_chips(facts, wish),
        _wrong_architecture(facts, wish),
        _missing_headers(facts, steps),
        _installer_running(facts),
        foreign,
        _device_in_use(facts, list(facts.holders)),
        _driver_in_use(list(facts.holders), steps),
        _container_in_use(facts, steps),
        _reboots_itself(wish, steps),
    ]
    found += [_too_old(step, facts, wish) for step in steps if step.component is not None and step.version]
    return tuple(dict.fromkeys(problem for problem in found if problem))


def removal_refusals(facts: HdkFacts, wish: HdkWish, steps: Tuple[Step, ...]) -> Tuple[Problem, ...]:
    """Return every reason not to uninstall; containers that docker can stop are none."""
    if not steps:
        return ()
    stopped = {name for container in facts.containers for name in (container.name, container.id[:12])}
    left = [holder for holder in facts.holders if holder.container not in stopped]
    found = [
        _installer_running(facts),
        _device_in_use(facts, left),
        _driver_in_use(left, steps),
        _no_script(facts),
        _reboots_itself(wish, steps),
    ]
    return tuple(problem for problem in found if problem)


def may_be_too_old(facts: HdkFacts, wish: HdkWish) -> bool:
    """Return whether the wanted driver may be older than what the chips' flash allows, so that they must be asked.

    A loaded driver is asked before every change: the installer asks it too, but only after the firmware was written.
    """
    if facts.driver.missing and facts.driver.on_disk is None:
        return True
    if facts.driver_loaded and facts.driver.on_disk != wish.driver_version:
        return True
    return any(version and _older(wish.driver_version, version) for version in _known(facts, DRIVER))


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
    if facts.headers not in ("missing", "other") or not _takes_driver_package(steps):
        return None
    if facts.headers == "other":
        value = f"/lib/modules/{facts.kernel}/build has the headers of {facts.headers_release}"
        next_step = f"install the headers of {facts.kernel} anew, or boot {facts.headers_release}"
    else:
        value = f"no /lib/modules/{facts.kernel}/build, and no package that would bring the headers of this kernel"
        next_step = HEADERS_REMEDIES.format(kernel=facts.kernel)
    return Problem(
        check="kernel_headers",
        value=value,
        rule="the driver's modules are built against the headers of the running kernel",
        next_step=next_step,
    )


def _takes_driver_package(steps: Tuple[Step, ...]) -> bool:
    return any(step.component == DRIVER and step.action in (INSTALL, UPGRADE) for step in steps)


def _installer_running(facts: HdkFacts) -> Optional[Problem]:
    found = [f"{installer.command} (pid {installer.pid})" for installer in facts.installers if not installer.ours]
    if not found:
        return None
    return Problem(
        check="installer_running",
        value=", ".join(found),
        rule="only one installer at a time may change the HDK",
        next_step="wait for it to end, then run again",
    )


def _foreign(facts: HdkFacts, wish: HdkWish) -> Optional[Problem]:
    """Refuse what an installer can't go over, unless it may and can be uninstalled first."""
    if not hdk_foreign.foreign_parts(facts, wish):
        return None
    if wish.foreign != REFUSE:
        return _no_script(facts)
    values, ways = [], []
    if not hdk_foreign.user_fits(facts, wish):
        values.append(f"installed for {facts.user}:{facts.group}")
        ways.append(f"set ascend_hdk_user: {facts.user} and ascend_hdk_group: {facts.group} as it is installed")
    homes = hdk_foreign.other_homes(facts)
    if homes:
        values.append(f"installed in {', '.join(homes)}")
        # The user alone would not do.
        ways = []
    ways.append("set ascend_hdk_foreign_installation: reinstall to have it uninstalled first")
    return Problem(
        check="foreign_installation",
        value=f"the HDK is {', and '.join(values)}",
        rule=f"it is to be for {wish.user}:{wish.group} in {ASCEND_HOME}, and an installer changes neither",
        next_step=", or ".join(ways),
    )


def _no_script(facts: HdkFacts) -> Optional[Problem]:
    folders = hdk_foreign.without_script(facts)
    if not folders:
        return None
    return Problem(
        check="uninstall_script",
        value=f"{', '.join(folders)} without a script that uninstalls it",
        rule=f"only {ASCEND_HOME} is removed without the vendor's script",
        next_step=f"remove {', '.join(folders)} and its lines in {INSTALL_INFO} by hand, then run again",
    )


def _device_in_use(facts: HdkFacts, holders: List[Holder]) -> Optional[Problem]:
    held = [facts.job] if facts.job else []
    held += [_named(holder) for holder in holders if holder.has_npu()]
    if not held and not facts.holders and facts.npu_smi_error and "-8020" in facts.npu_smi_error:
        held = [facts.npu_smi_error]
    if not held:
        return None
    return Problem(
        check="device_in_use",
        value=", ".join(held),
        rule="nothing may use the NPUs while the HDK changes or the server reboots",
        next_step="stop the job (telechat-run stop) or these processes and containers, then run again",
    )


def _driver_in_use(holders: List[Holder], steps: Tuple[Step, ...]) -> Optional[Problem]:
    """Refuse what keeps opening a device that all NPUs share, which the driver's installer would refuse after all."""
    held = [holder for holder in holders if not holder.has_npu()]
    if not held or not changes_driver(steps):
        return None
    services = sorted({holder.service for holder in held if holder.service})
    stop = f"systemctl stop {' '.join(services)}" if services else "stop these processes"
    return Problem(
        check="driver_in_use",
        value=", ".join(f"{_named(holder)} has {holder.device} open" for holder in held),
        rule="the driver's installer refuses while a process has the driver open, which would be after the firmware",
        next_step=f"{stop} (monitoring, a BMC agent, or what calls npu-smi again and again), then run again",
    )


def _container_in_use(facts: HdkFacts, steps: Tuple[Step, ...]) -> Optional[Problem]:
    """Refuse running containers of others that the driver's installer refuses; the project's own is stopped."""
    names = [container.name for container in facts.containers if container.refused and not container.ours]
    if not names or not facts.driver_loaded or not changes_driver(steps):
        return None
    return Problem(
        check="container_in_use",
        value=f"containers {', '.join(names)} run and have {MANAGER} in what docker inspect says of them",
        rule="the driver's installer refuses while such a container runs, be it idle",
        next_step=f"docker stop {' '.join(names)}, run again, and start them when all is done",
    )


def _named(holder: Holder) -> str:
    where = f", container {holder.container}" if holder.container else ""
    where += f", {holder.service}" if holder.service else ""
    return f"{holder.name} (pid {holder.pid}{where})"


def _reboots_itself(wish: HdkWish, steps: Tuple[Step, ...]) -> Optional[Problem]:
    if wish.can_reboot or not any(step.action == REBOOT for step in steps):
        return None
    return Problem(
        check="reboot",
        value="ansible_connection is local",
        rule="the plan reboots the server, which would end this very run",
        next_step="run it from another machine over SSH",
    )


def _too_old(step: Step, facts: HdkFacts, wish: HdkWish) -> Optional[Problem]:
    version = str(step.version)
    if step.action not in (INSTALL, UPGRADE):
        return None
    if step.component == DRIVER and facts.flash_base and _older(version, facts.flash_base):
        return Problem(
            check="flash_version",
            value=f"the chips' flash allows driver {facts.flash_base} and newer ones",
            rule=f"{version} is older, and its installer refuses",
            next_step=f"set ascend_hdk_release to {facts.flash_base} or a newer one",
        )
    newer = [known for known in _known(facts, str(step.component)) if known and _older(version, known)]
    if wish.allow_downgrade or not newer:
        return None
    return Problem(
        check=f"{step.component}_downgrade",
        value=f"{step.component} {newer[0]} is installed",
        rule=f"{version} is older; and below what the chips' flash allows, the installer refuses",
        next_step="set ascend_hdk_release to the installed release or a newer one, or ascend_hdk_allow_downgrade: true",
    )


def _known(facts: HdkFacts, component: str) -> List[Optional[str]]:
    if component == DRIVER:
        return [facts.driver.on_disk, *running_driver(facts)]
    return [facts.firmware.on_disk, *running_firmware(facts)]


def _older(left: str, right: str) -> bool:
    try:
        return is_older(left, right)
    except ValueError:
        return False
