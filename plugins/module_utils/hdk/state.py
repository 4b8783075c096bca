# SPDX-License-Identifier: Apache-2.0
"""What is known and wanted of a server's HDK, and the steps between: the values that the plan is made of."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Iterable, List, Mapping, Optional, Tuple

from ansible.module_utils.ascend.version import same_version
from ansible.module_utils.host_problem import Problem

DRIVER = "driver"
FIRMWARE = "firmware"

INSTALL = "install"
UPGRADE = "upgrade"
REBOOT = "reboot"
# By the script of what is installed; `targets` is the folder that it is installed in.
UNINSTALL = "uninstall"
# Remove what no script removes; `targets` are the paths.
CLEAN = "clean"
# End a container that has the NPUs; `targets` is its name. To uninstall, it is kept from starting at boot, too.
STOP = "stop"
# Start a container that STOP ended for the driver's installer; `targets` is its name.
START = "start"

# A version that runs but that npu-smi does not tell; None is that of a chip on which none runs.
UNKNOWN = "unknown"

PRESENT = "present"
ABSENT = "absent"

REFUSE = "refuse"
REINSTALL = "reinstall"

ASCEND_HOME = "/usr/local/Ascend"
DKMS_TREE = "/var/lib/dkms/davinci_ascend"
INSTALL_INFO = "/etc/ascend_install.info"

# The driver's device nodes that are not of one NPU; monitoring opens them for a moment with every query.
SHARED_DEVICES = ("/dev/davinci_manager", "/dev/devmm_svm", "/dev/hisi_hdc")
# The vendor's installers look for this text in all that docker says of running containers.
MANAGER = SHARED_DEVICES[0]

IF_INSTALLER_ASKS = "if the installer asks for it"
IF_NOT_RUNNING = "unless the chips already run it"
IF_FIRMWARE_WRITTEN = "if firmware was written"
IF_STILL_LOADED = "if the kernel still has the driver"
IF_LEFT = "if the scripts leave anything"

# What a leftover DKMS tree of the driver is: not there, with modules that were built, or left by a build that failed.
NO_TREE = "none"
BUILT_TREE = "built"
FAILED_TREE = "failed"

REBOOT_GUIDE = "guide"
REBOOT_WHEN_REQUIRED = "when_required"


@dataclass(frozen=True)
class Component:
    """Driver or firmware as installed: its version.info and what this boot has seen of it.

    `home` is the folder it is installed below, `named` whether the host's install info knows it, `missing` what a whole
    installation has and this one, half there, has not, `script` whether its own script can uninstall it (once it is
    named again, where it is not), `removed` whether the record says that it was uninstalled in this boot.
    """

    on_disk: Optional[str]
    written_this_boot: bool
    interrupted: bool
    reboot_owed: bool
    home: str = ASCEND_HOME
    named: bool = False
    missing: Tuple[str, ...] = ()
    script: bool = False
    removed: bool = False


@dataclass(frozen=True)
class Chip:
    """A chip that npu-smi answers for, with the versions that run on it (UNKNOWN or None, see there).

    `gap` is why one is UNKNOWN.
    """

    npu_id: int
    chip_id: int
    name: str
    health: str
    error: str
    driver_version: Optional[str]
    firmware_version: Optional[str]
    compatibility: Optional[str]
    gap: str = ""


@dataclass(frozen=True)
class Holder:
    """A process that has the driver open, and the container it runs in.

    `device` is the first device node that it has open, those of single NPUs before those that all share, `service` the
    unit of systemd that it belongs to.
    """

    pid: int
    name: str
    container: Optional[str]
    device: str = "/dev/davinci0"
    service: Optional[str] = None

    def has_npu(self) -> bool:
        """Return whether it has an NPU open, and not only what all of them share."""
        return self.device not in SHARED_DEVICES


@dataclass(frozen=True)
class Container:
    """A running container that docker knows and that has the NPUs' device nodes (`devices`) or mounts the driver.

    `refused` is whether the driver's installers refuse while it runs, `ours` whether this project has made it.
    """

    id: str
    name: str
    devices: bool
    refused: bool = False
    ours: bool = False


@dataclass(frozen=True)
class Installer:
    """A running installer of driver or firmware; `ours` when the host's record has begun it."""

    pid: int
    command: str
    ours: bool


@dataclass(frozen=True)
class HdkFacts:
    """Everything the plan depends on.

    `headers` is one of present, installable, unknown, missing, other (then `headers_release` says whose).
    `driver_module` tells whether the driver's module for the running kernel is on disk, `driver_loaded` whether the
    kernel has it, `chips_unknown` whether npu-smi lists no chip although it has. `dkms_tree` is NO_TREE, BUILT_TREE or
    FAILED_TREE. `user` and `group` are for whom the HDK was installed and `for_all` whether for everybody else too,
    `leftovers` the paths that no script removes (any more), `stopped` the containers that a run of steps has stopped
    and not started again, `flash_base` the oldest driver that the chips' flash allows
    as far as it was asked, `job` the job that holds this node's lease, `seconds` how long this host's steps took (by
    component, UNINSTALL and REBOOT).
    """

    architecture: str
    kernel: str
    headers: str
    bus_devices: Tuple[str, ...]
    driver: Component
    firmware: Component
    chips: Tuple[Chip, ...]
    npu_smi_error: Optional[str]
    holders: Tuple[Holder, ...]
    headers_release: Optional[str] = None
    driver_module: bool = False
    driver_loaded: bool = False
    dkms_tree: str = NO_TREE
    user: Optional[str] = None
    group: Optional[str] = None
    for_all: bool = True
    leftovers: Tuple[str, ...] = ()
    containers: Tuple[Container, ...] = ()
    installers: Tuple[Installer, ...] = ()
    flash_base: Optional[str] = None
    chips_unknown: bool = False
    stopped: Tuple[str, ...] = ()
    job: Optional[str] = None
    seconds: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class HdkWish:
    """The wanted versions, what the packages are for, and what the operator allows.

    With `state` ABSENT driver and firmware are to be uninstalled, and the versions are empty. `foreign` says what to do
    with an HDK of another run user or in another folder: REFUSE or REINSTALL. `durations` are the seconds that driver,
    firmware, UNINSTALL and REBOOT are expected to take on a host that never did them.
    """

    driver_version: str
    firmware_version: str
    npu_count: int
    bus_device: str
    architectures: Tuple[str, ...]
    reboot_policy: str
    allow_downgrade: bool
    can_reboot: bool
    state: str = PRESENT
    user: str = "HwHiAiUser"
    group: str = "HwHiAiUser"
    foreign: str = REFUSE
    durations: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Step:
    """One action on the host; one with a condition, which only earlier steps can tell, may be left out.

    `targets` is what UNINSTALL, CLEAN, STOP and START act on (see these), `seconds` the estimate of how long it takes.
    """

    action: str
    component: Optional[str]
    version: Optional[str]
    reason: str
    condition: Optional[str] = None
    targets: Tuple[str, ...] = ()
    seconds: int = 0

    def __str__(self) -> str:
        """Say the step as the plan prints it."""
        targets = " ".join(self.targets) if self.action in (CLEAN, STOP, START) else None
        words = [self.action, self.component, self.version, targets]
        condition = f", {self.condition}" if self.condition else ""
        return f"{' '.join(word for word in words if word)}{condition}: {self.reason}"


@dataclass(frozen=True)
class HdkPlan:
    """Steps in order; refusals forbid all of them, which are `held_up` then."""

    steps: Tuple[Step, ...]
    refusals: Tuple[Problem, ...]
    held_up: Tuple[Step, ...] = ()


def changes_driver(steps: Iterable[Step]) -> bool:
    """Return whether a step installs the driver, goes over it or uninstalls it."""
    return any(step.component == DRIVER and step.action in (INSTALL, UPGRADE, UNINSTALL) for step in steps)


def is_there(component: Component) -> bool:
    """Tell whether anything of a component is installed, be it half."""
    return component.on_disk is not None or bool(component.missing)


def runs(versions: List[Optional[str]], wanted: str) -> Optional[bool]:
    """Return whether all chips run the wanted version; None when it can't be told, as all known ones do.

    Without chips nothing runs.
    """
    known = [version for version in versions if version != UNKNOWN]
    if not versions or any(version is None or not same(version, wanted) for version in known):
        return False
    return True if len(known) == len(versions) else None


def driver_runs(facts: HdkFacts, wanted: str) -> Optional[bool]:
    """Return whether the wanted driver runs; None when npu-smi doesn't tell."""
    return None if facts.chips_unknown else runs(running_driver(facts), wanted)


def firmware_runs(facts: HdkFacts, wanted: str) -> Optional[bool]:
    """Return whether all chips run the wanted firmware; None when npu-smi doesn't tell."""
    return None if facts.chips_unknown else runs(running_firmware(facts), wanted)


def same(left: str, right: str) -> bool:
    """Compare as versions; texts that are none, as texts."""
    try:
        return same_version(left, right)
    except ValueError:
        return left.strip().lower() == right.strip().lower()


def running_driver(facts: HdkFacts) -> List[Optional[str]]:
    """Return the driver's version on every chip; the kernel has one, so what one chip tells is true of the others."""
    versions = [chip.driver_version for chip in facts.chips]
    told = next((version for version in versions if version != UNKNOWN), UNKNOWN)
    return [told if version == UNKNOWN else version for version in versions]


def running_firmware(facts: HdkFacts) -> List[Optional[str]]:
    """Return the firmware's version on every chip."""
    return [chip.firmware_version for chip in facts.chips]
