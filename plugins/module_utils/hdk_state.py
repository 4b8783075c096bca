# SPDX-License-Identifier: Apache-2.0
"""What is known and wanted of a server's HDK, and the steps between: the values that the plan is made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import List, Optional, Tuple

from ansible.module_utils.ascend_version import same_version
from ansible.module_utils.host_problem import Problem

DRIVER = "driver"
FIRMWARE = "firmware"

INSTALL = "install"
UPGRADE = "upgrade"
REBOOT = "reboot"

IF_INSTALLER_ASKS = "if the installer asks for it"
IF_NOT_RUNNING = "unless the chips already run it"
IF_FIRMWARE_WRITTEN = "if firmware was written"

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
    """One action on the host; one with a condition, which only earlier steps can tell, may be left out."""

    action: str
    component: Optional[str]
    version: Optional[str]
    reason: str
    condition: Optional[str] = None

    def __str__(self) -> str:
        """Say the step as the plan prints it."""
        words = [self.action, self.component, self.version]
        condition = f", {self.condition}" if self.condition else ""
        return f"{' '.join(word for word in words if word)}{condition}: {self.reason}"


@dataclass(frozen=True)
class HdkPlan:
    """Steps in order; refusals forbid all of them."""

    steps: Tuple[Step, ...]
    refusals: Tuple[Problem, ...]


def runs(versions: List[Optional[str]], wanted: str) -> bool:
    """Tell whether there are chips and all of them run the wanted version."""
    return bool(versions) and all(version is not None and same(version, wanted) for version in versions)


def same(left: str, right: str) -> bool:
    """Compare as versions; texts that are none, as texts."""
    try:
        return same_version(left, right)
    except ValueError:
        return left.strip().lower() == right.strip().lower()


def running_driver(facts: HdkFacts) -> List[Optional[str]]:
    """Return the driver's version on every chip."""
    return [chip.driver_version for chip in facts.chips]


def running_firmware(facts: HdkFacts) -> List[Optional[str]]:
    """Return the firmware's version on every chip."""
    return [chip.firmware_version for chip in facts.chips]
