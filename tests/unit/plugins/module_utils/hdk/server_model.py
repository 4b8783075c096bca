# SPDX-License-Identifier: Apache-2.0
"""A server as the vendor's rules describe it, written without a look at the planner: what the planner is tried against.

Its rules: a driver's files become the running driver by a hot reset or at boot, and only with a module for the kernel;
chips answer through a running driver and npu-smi; firmware is written by the tool of the driver on disk through the
running driver, so both have to be one version; written firmware runs from the next boot on. Installers and uninstall
scripts know what is installed from /etc/ascend_install.info: an installation that it names is replaced where it is and
for whom it is, one that it does not name is a first installation.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field, replace

from ansible.module_utils.ascend.version import is_older
from ansible.module_utils.hdk.state import (
    UNKNOWN,
    Chip,
    Component,
    Container,
    HdkFacts,
    Holder,
    Installer,
)

DEFAULT_USER = "HwHiAiUser"
HOME = "/usr/local/Ascend"
KERNEL = "5.10.0"
DKMS_TREE = "/var/lib/dkms/davinci_ascend"
INSTALL_INFO = "/etc/ascend_install.info"
PARTS = ("driver", "firmware")
NPU_SMI = "/usr/local/sbin/npu-smi"
MODULE = f"/lib/modules/{KERNEL}/updates/dkms/drv_pcie_host.ko"


class BrokenServerError(Exception):
    """A step was taken that the vendor's installers refuse, or that breaks what works."""


@dataclass
class Installed:
    """What lies in the folder of driver or firmware; `lacks` names what a cut left out."""

    version: str | None
    home: str = HOME
    lacks: set[str] = field(default_factory=set)


@dataclass
class InstallInfo:
    """/etc/ascend_install.info: for whom, and where each component is; None where it names none."""

    user: str = DEFAULT_USER
    group: str = DEFAULT_USER
    for_all: bool = True
    homes: dict[str, str] = field(default_factory=dict)


@dataclass
class Server:
    """Disk, kernel, flash and users of one server; versions are texts, None stands for nothing there."""

    driver: Installed | None = None
    firmware: Installed | None = None
    info: InstallInfo | None = None
    dkms: str = "none"
    module_built: bool = False
    driver_running: str | None = None
    flash: list[str] = field(default_factory=lambda: ["7.1.0.3.220"] * 2)
    firmware_running: list[str] = field(default_factory=lambda: ["7.1.0.3.220"] * 2)
    flash_base: str | None = None
    hot_reset_works: bool = True
    headers: str = "present"
    holders: list[Holder] = field(default_factory=list)
    containers: list[Container] = field(default_factory=list)
    # Containers that the project has stopped and has to start again.
    stopped: list[Container] = field(default_factory=list)
    installer: Installer | None = None
    # What the project's own record and the clock say.
    interrupted: set[str] = field(default_factory=set)
    written_this_boot: set[str] = field(default_factory=set)
    reboot_owed: set[str] = field(default_factory=set)
    removed: set[str] = field(default_factory=set)
    reboots: int = 0

    def copy(self) -> Server:
        """Return a server that lives on by itself."""
        return copy.deepcopy(self)

    def asked_chips(self, silent: set[int]) -> HdkFacts:
        """Return what a look finds while these chips do not tell their versions."""
        facts = self.facts()
        chips = [
            replace(chip, driver_version=UNKNOWN, firmware_version=UNKNOWN, gap="NA") if chip.npu_id in silent else chip
            for chip in facts.chips
        ]
        return replace(facts, chips=tuple(chips))

    def answers(self) -> bool:
        """Tell whether npu-smi lists chips."""
        return self.driver_running is not None and self.driver is not None and "npu-smi" not in self.driver.lacks

    def is_bare(self) -> bool:
        """Tell whether nothing of an HDK is on disk or in the kernel; the chips keep their firmware."""
        left = (self.driver, self.firmware, self.info, self.driver_running)
        return not any(left) and self.dkms == "none" and not self.module_built

    def take(self, step, wanted) -> None:
        """Do what the plan for a wish says, as the project does it."""
        reboot_policy, user, group = wanted.reboot_policy, wanted.user, wanted.group
        if step.action == "reboot":
            self.reboot()
        elif step.action == "stop":
            self._stop(step.targets, for_good=wanted.state == "absent")
        elif step.action == "start":
            self._start(step.targets)
        elif step.action == "clean":
            self._clean(step.targets)
        elif step.action == "uninstall":
            self._uninstall(step.component, step.targets)
        elif step.component == "driver":
            self._installed(step, reboot_policy, asks=self._write_driver(step, user, group))
        else:
            self._write_firmware(step)
            self._installed(step, reboot_policy, asks=True)

    def reboot(self) -> None:
        """Boot: what is on disk and in flash runs now."""
        whole = self.driver is not None and self.driver.version is not None
        self.driver_running = self.driver.version if whole and self.module_built else None
        self.firmware_running = list(self.flash)
        for seen in (self.written_this_boot, self.reboot_owed, self.removed):
            seen.clear()
        self.reboots += 1

    def power_cut(self, step, user: str = DEFAULT_USER, group: str = DEFAULT_USER) -> None:
        """Lose power in the middle of a step, and boot."""
        if step.component is not None:
            self.interrupted.add(step.component)
        if step.action == "uninstall":
            # version.info goes first.
            getattr(self, step.component).version = None
        elif step.component == "driver":
            # The install info comes first, the old driver goes, version.info and the script come, then the build.
            self._name("driver", self._target_home("driver"), user, group, for_all=True)
            self.driver = Installed(step.version, self._target_home("driver"), {"upgrade-tool", "npu-smi", "status"})
            self.dkms, self.module_built = "failed", False
        elif step.component == "firmware":
            self.flash[0] = step.version
        self.reboot()

    def _installed(self, step, reboot_policy, *, asks):
        self.interrupted.discard(step.component)
        self.removed.discard(step.component)
        self.written_this_boot.add(step.component)
        if reboot_policy == "guide" or asks:
            self.reboot_owed.add(step.component)
        else:
            self.reboot_owed.discard(step.component)

    def _stop(self, names, *, for_good):
        if not for_good:
            self.stopped += [container for container in self.containers if container.name in names]
        self.containers = [container for container in self.containers if container.name not in names]
        self.holders = [holder for holder in self.holders if holder.container not in names]

    def _start(self, names):
        if not self.answers():
            raise BrokenServerError("error gathering device information: /dev/davinci0: no such file or directory")
        self.containers += [container for container in self.stopped if container.name in names]
        self.stopped = [container for container in self.stopped if container.name not in names]

    def _clean(self, paths):
        whole = {f"{HOME}/{name}" for name in ("driver", "firmware") if self._is_whole(name)}
        for path in paths:
            if path in whole or (path in (DKMS_TREE, MODULE, NPU_SMI) and whole & {f"{HOME}/driver"}):
                raise BrokenServerError(f"{path} belongs to what is installed and works")
            if path == INSTALL_INFO and whole:
                raise BrokenServerError("what is installed could not be uninstalled any more")
            self._remove(path)

    def _remove(self, path):
        if path == DKMS_TREE:
            self.dkms = "none"
        elif path == MODULE:
            self.module_built = False
        elif path == INSTALL_INFO:
            self.info = None
        elif path == f"{HOME}/driver":
            self.driver = None
        elif path == f"{HOME}/firmware":
            self.firmware = None
        elif path == NPU_SMI:
            if self.driver is not None:
                self.driver.lacks.add("npu-smi")
        else:
            raise BrokenServerError(f"nobody asked for {path} to be removed")

    def _is_whole(self, name):
        part = getattr(self, name)
        whole = part is not None and part.version is not None and not part.lacks and self._is_named(name)
        return whole and (name != "driver" or self.module_built)

    def _is_named(self, name):
        return self.info is not None and name in self.info.homes

    def _uninstall(self, name, targets):
        part = getattr(self, name)
        if part is None or targets != (part.home,) or "script" in part.lacks:
            raise BrokenServerError(f"{targets}/{name}/script/uninstall.sh: No such file")
        self._unused() if name == "driver" else self._alone()
        setattr(self, name, None)
        # The step names it again before it calls the script, where the install info is lost.
        if self._is_named(name):
            del self.info.homes[name]
        if self.info is not None and not self.info.homes:
            self.info = None
        self.interrupted.discard(name)
        self.written_this_boot.discard(name)
        self.reboot_owed.discard(name)
        self.removed.add(name)
        if name == "driver":
            self.module_built = False
            # dkms takes away what it built; what a failed build left stays.
            self.dkms = "none" if self.dkms == "built" else self.dkms
            if self.hot_reset_works:
                self.driver_running = None
            elif self.driver_running is not None:
                self.reboot_owed.add("driver")

    def _alone(self):
        if self.installer is not None:
            raise BrokenServerError("ERR_NO:0x0094: There is already a process being executed")
        if any(holder.has_npu() for holder in self.holders):
            raise BrokenServerError("the chips are in use")

    def _unused(self):
        """Refuse as the driver's installer and uninstall script do while anything may use a loaded driver."""
        self._alone()
        held = self.holders or any(container.refused for container in self.containers)
        if held and self.driver_running is not None:
            raise BrokenServerError("The davinci nodes are occupied by some processes")

    def _write_driver(self, step, user, group):
        self._unused()
        self._check_user(step, user, group)
        if self.headers != "present":
            raise BrokenServerError("Dkms install failed: no headers of this kernel")
        named = self._is_named("driver")
        if named and self._base_is_told() and is_older(step.version, self.flash_base):
            raise BrokenServerError(f"{step.version} is earlier than the device flash hardware version")
        # What the install info names is uninstalled by the new installer, and what dkms built with it.
        whole = self.driver is not None and self.driver.version and not self.driver.lacks - {"script"}
        if not (whole and self.module_built) and (self.dkms == "failed" or (self.dkms == "built" and not named)):
            raise BrokenServerError("DKMS tree already contains: davinci_ascend-1.0")
        home = self._target_home("driver")
        self._name("driver", home, user, group, for_all=step.action == "install")
        self.driver = Installed(step.version, home)
        self.dkms, self.module_built = "built", True
        if self.hot_reset_works:
            self.driver_running = step.version
        return not self.hot_reset_works

    def _check_user(self, step, user, group):
        named = step.action == "install" and (user, group) != (DEFAULT_USER, DEFAULT_USER)
        for_all = step.action == "install"
        if self.info is None:
            return
        if named:
            if (user, group) != (self.info.user, self.info.group):
                raise BrokenServerError("ERR_NO:0x0095: user and group are not same with last installation")
        elif self.info.user == "root" and not (for_all or self.info.for_all):
            raise BrokenServerError("ERR_NO:0x0091: username not permission for root (except install-for-all scene)")

    def _base_is_told(self):
        tool = self.driver is not None and "upgrade-tool" not in self.driver.lacks
        return self.flash_base is not None and self.driver_running is not None and tool

    def _target_home(self, name):
        return self.info.homes[name] if self._is_named(name) else HOME

    def _name(self, name, home, user, group, *, for_all):
        if self.info is None:
            self.info = InstallInfo(user=user, group=group, for_all=for_all)
        # Who is named stays; an upgrade keeps for whom.
        self.info.for_all = self.info.for_all or for_all
        self.info.homes[name] = home

    def _write_firmware(self, step):
        self._alone()
        if self.info is not None and self.info.user == "root" and step.action == "install":
            raise BrokenServerError("ERR_NO:0x0091: username not permission for root (except install-for-all scene)")
        if not self.answers():
            raise BrokenServerError("Get device count failed, please check that the driver is loaded")
        if "upgrade-tool" in self.driver.lacks:
            raise BrokenServerError("upgrade-tool is not found, please install the driver package first")
        if self.driver.version != self.driver_running:
            raise BrokenServerError(f"the tool of {self.driver.version} does not fit driver {self.driver_running}")
        home = self._target_home("firmware")
        self._name("firmware", home, DEFAULT_USER, DEFAULT_USER, for_all=False)
        self.firmware, self.flash = Installed(step.version, home), [step.version] * len(self.flash)

    def facts(self, **changes) -> HdkFacts:
        """Return what a look at this server finds."""
        chips = [
            Chip(number, 0, "910B2", "OK", "", self.driver_running, firmware, "OK")
            for number, firmware in enumerate(self.firmware_running)
        ]
        found = {
            "architecture": "aarch64",
            "kernel": KERNEL,
            "headers": self.headers,
            "headers_release": "6.1.0" if self.headers == "other" else None,
            "bus_devices": ("d802",) * len(self.flash),
            "driver": self._component("driver"),
            "firmware": self._component("firmware"),
            "chips": tuple(chips) if self.answers() else (),
            "npu_smi_error": None if self.answers() else "npu-smi is not installed",
            "holders": tuple(self.holders),
            "containers": tuple(self.containers),
            "stopped": tuple(container.name for container in self.stopped),
            "installers": (self.installer,) if self.installer else (),
            "driver_module": self.module_built,
            "driver_loaded": self.driver_running is not None,
            "dkms_tree": self.dkms,
            "user": self.info.user if self.info else None,
            "group": self.info.group if self.info else None,
            "for_all": self.info.for_all if self.info else True,
            "leftovers": self._leftovers(),
            "flash_base": self.flash_base if self._base_is_told() else None,
        }
        return HdkFacts(**{**found, **changes})

    def _has_script(self, name):
        part = getattr(self, name)
        return part is not None and "script" not in part.lacks

    def _leftovers(self):
        found = []
        if not self._has_script("driver"):
            found += [DKMS_TREE] * (self.dkms != "none") + [MODULE] * self.module_built
            found += [NPU_SMI] * (self.driver is not None and "npu-smi" not in self.driver.lacks)
        for name in ("driver", "firmware"):
            part = getattr(self, name)
            if part is not None and not self._has_script(name) and part.home == HOME:
                found.append(f"{HOME}/{name}")
        if self.info is not None and not any(self._has_script(name) and self._is_named(name) for name in PARTS):
            found.append(INSTALL_INFO)
        return tuple(found)

    def _component(self, name: str) -> Component:
        part, there = getattr(self, name), False
        missing = ["version.info"] if self._is_named(name) else []
        if part is not None and part.version is not None:
            there = True
            missing = sorted(part.lacks - {"script"})
        return Component(
            on_disk=part.version if part else None,
            written_this_boot=there and name in self.written_this_boot,
            interrupted=name in self.interrupted,
            reboot_owed=(there or name in self.removed) and name in self.reboot_owed,
            home=part.home if part else HOME,
            named=self._is_named(name),
            missing=tuple(missing),
            script=self._has_script(name),
            removed=part is None and name in self.removed,
        )
