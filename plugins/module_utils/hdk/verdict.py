# SPDX-License-Identifier: Apache-2.0
"""Judge whether a server's chips are all there, healthy, and run the wanted versions. Pure."""

from __future__ import annotations

from typing import List, Optional

from ansible.module_utils.hdk.state import UNKNOWN, Chip, HdkFacts, HdkWish, runs
from ansible.module_utils.host_problem import Problem

HEALTHY = "OK"


def hdk_problems(facts: HdkFacts, wish: HdkWish) -> List[Problem]:
    """Return what keeps the NPUs from work, chip by chip; empty when all of them are ready."""
    if not facts.chips:
        return [
            Problem(
                check="npu_smi",
                value=facts.npu_smi_error or "npu-smi info lists no chip",
                rule="npu-smi answers for every chip",
                next_step="run it again; if it stays, read dmesg and /var/log/ascend_seclog on the host, and reboot it",
            )
        ]
    found = [_missing_chips(facts, wish)]
    for chip in facts.chips:
        found += [_health(chip), _unknown(chip), _compatibility(chip)]
        found += [
            _version(chip, "driver", chip.driver_version, wish.driver_version),
            _version(chip, "firmware", chip.firmware_version, wish.firmware_version),
        ]
    return [problem for problem in found if problem]


def _missing_chips(facts: HdkFacts, wish: HdkWish) -> Optional[Problem]:
    if len(facts.chips) == wish.npu_count:
        return None
    answering = ", ".join(str(chip.npu_id) for chip in facts.chips)
    return Problem(
        check="chips",
        value=f"npu-smi lists {len(facts.chips)} chips (NPU {answering}), the PCI bus {len(facts.bus_devices)}",
        rule=f"ascend_npu_count is {wish.npu_count}",
        next_step="look for it in dmesg, power cycle the server, and have the card replaced if it stays away",
    )


def _health(chip: Chip) -> Optional[Problem]:
    if chip.health == HEALTHY:
        return None
    return Problem(
        check="chip_health",
        value=f"NPU {chip.npu_id} chip {chip.chip_id} is {chip.health}: {chip.error or 'no error code'}",
        rule="every chip's health is OK",
        next_step=f"npu-smi info -t health -i {chip.npu_id} -c {chip.chip_id}, reboot; if it stays, have it replaced",
    )


def _compatibility(chip: Chip) -> Optional[Problem]:
    if chip.compatibility in (None, "OK"):
        return None
    versions = f"driver {chip.driver_version} and firmware {chip.firmware_version}"
    return Problem(
        check="compatibility",
        value=f"NPU {chip.npu_id}: {versions}: {chip.compatibility}",
        rule="the driver calls its firmware compatible (npu-smi info -t board)",
        next_step="take driver and firmware of one HDK release: leave ascend_hdk_firmware_version empty",
    )


def _unknown(chip: Chip) -> Optional[Problem]:
    """Report a chip whose versions npu-smi does not tell: it may be sick, and nothing says that they are wrong."""
    versions = (("driver", chip.driver_version), ("firmware", chip.firmware_version))
    untold = [component for component, version in versions if version == UNKNOWN]
    if not untold:
        return None
    asked = f"npu-smi info -t board -i {chip.npu_id}"
    return Problem(
        check="chip_version",
        value=f"NPU {chip.npu_id}: which {' and '.join(untold)} it runs is unknown: {chip.gap}",
        rule="every chip's versions are known; nothing is installed for one that does not tell them",
        next_step=f"{asked}; if it stays, read dmesg, reboot the server, and have the card replaced if that won't do",
    )


def _version(chip: Chip, component: str, running: Optional[str], wanted: str) -> Optional[Problem]:
    if runs([running], wanted) is not False:
        return None
    return Problem(
        check=f"{component}_version",
        value=f"NPU {chip.npu_id} runs {f'{component} {running}' if running else f'no {component}'}",
        rule=f"{component} {wanted} is wanted",
        next_step="run the playbook again; if it stays, read /var/log/ascend_seclog/ascend_install.log on the host",
    )
