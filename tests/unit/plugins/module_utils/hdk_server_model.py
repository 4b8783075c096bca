# SPDX-License-Identifier: Apache-2.0
"""A server as the vendor's rules describe it, written without a look at the planner: what the planner is tried against.

Its rules: a driver's files become the running driver by a hot reset or at boot, and only with a module for the kernel;
chips answer through a running driver and npu-smi; firmware is written by the tool of the driver on disk through the
running driver, so both have to be one version; written firmware runs from the next boot on.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from ansible.module_utils.hdk_state import Chip, Component, HdkFacts


class BrokenServerError(Exception):
    """A step was taken that the vendor's installers refuse."""


@dataclass
class Server:
    """Disk, kernel and flash of one server; the versions are texts, None stands for nothing there."""

    driver_disk: str | None = None
    driver_running: str | None = None
    module_built: bool = True
    npu_smi_there: bool = True
    firmware_disk: str | None = None
    flash: list[str] = field(default_factory=lambda: ["7.1.0.3.220"] * 2)
    firmware_running: list[str] = field(default_factory=lambda: ["7.1.0.3.220"] * 2)
    hot_reset_works: bool = True
    interrupted: set[str] = field(default_factory=set)
    written_this_boot: set[str] = field(default_factory=set)
    reboot_owed: set[str] = field(default_factory=set)
    reboots: int = 0

    def answers(self) -> bool:
        """Tell whether npu-smi lists chips."""
        return self.driver_running is not None and self.driver_disk is not None and self.npu_smi_there

    def take(self, step, reboot_policy: str) -> None:
        """Do what the plan says, as the module does it."""
        if step.action == "reboot":
            self.reboot()
            return
        if step.component == "driver":
            asks = self._write_driver(step.version)
        else:
            asks = True
            self._write_firmware(step.version)
        self.interrupted.discard(step.component)
        self.written_this_boot.add(step.component)
        if reboot_policy == "guide" or asks:
            self.reboot_owed.add(step.component)
        else:
            self.reboot_owed.discard(step.component)

    def reboot(self) -> None:
        """Boot: what is on disk and in flash runs now."""
        self.driver_running = self.driver_disk if self.module_built else None
        self.firmware_running = list(self.flash)
        self.written_this_boot.clear()
        self.reboot_owed.clear()
        self.reboots += 1

    def _write_driver(self, version: str) -> bool:
        self.driver_disk, self.module_built, self.npu_smi_there = version, True, True
        if self.hot_reset_works:
            self.driver_running = version
        return not self.hot_reset_works

    def _write_firmware(self, version: str) -> None:
        if not self.answers():
            raise BrokenServerError("Get device count failed, please check that the driver is loaded")
        if self.driver_disk != self.driver_running:
            raise BrokenServerError(f"the tool of driver {self.driver_disk} does not fit driver {self.driver_running}")
        self.firmware_disk, self.flash = version, [version] * len(self.flash)

    def facts(self, **changes) -> HdkFacts:
        """Return what a look at this server finds."""
        chips = [
            Chip(number, 0, "910B2", "OK", "", self.driver_running, firmware, "OK")
            for number, firmware in enumerate(self.firmware_running)
        ]
        found = {
            "architecture": "aarch64",
            "kernel": "5.10.0",
            "headers": "present",
            "bus_devices": ("d802",) * len(self.flash),
            "driver": self._component("driver", self.driver_disk),
            "firmware": self._component("firmware", self.firmware_disk),
            "chips": tuple(chips) if self.answers() else (),
            "npu_smi_error": None if self.answers() else "npu-smi is not installed",
            "holders": (),
        }
        return HdkFacts(**{**found, **changes})

    def _component(self, name: str, version: str | None) -> Component:
        there = version is not None
        return Component(
            on_disk=version,
            written_this_boot=there and name in self.written_this_boot,
            interrupted=name in self.interrupted,
            reboot_owed=there and name in self.reboot_owed,
        )
