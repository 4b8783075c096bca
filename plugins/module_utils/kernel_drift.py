# SPDX-License-Identifier: Apache-2.0
"""Tell before a reboot that the kernel it starts has no module of the installed Ascend driver."""

from __future__ import annotations

import glob
import os
import platform
import re
from dataclasses import dataclass
from typing import List, Optional

from ansible.module_utils.command_result import Run
from ansible.module_utils.host_problem import Problem
from ansible.module_utils.kernel_boot import next_kernel, version_key

WARN = "warn"
REBUILD = "rebuild"

DKMS_MODULE = "davinci_ascend"
DKMS_TREE = "var/lib/dkms/" + DKMS_MODULE
# Where DKMS (updates, updates/dkms, extra) and a Direct installation (updates) put modules; weak-updates has links to
# those of another kernel with the same symbols.
_MODULE_FOLDERS = ("updates", "extra", "weak-updates")
_MODULE = re.compile(r"drv_pcie_host\.ko(\.(xz|zst|gz))?$")


@dataclass(frozen=True)
class KernelDrift:
    """The kernel that boots next is another than the running one; what the installed driver has for it.

    `dkms_version` is the driver's version in DKMS's own counting, None where DKMS does not know the driver.
    """

    running: str
    next: str
    module: bool
    headers: bool
    dkms_version: Optional[str]


def look_at_drift(run: Run, family: Optional[str], root: str = "/", running: str = "") -> Optional[KernelDrift]:
    """Compare the running kernel with the one that boots next; None when they are the same, or the next is unknown."""
    running = running or platform.release()
    upcoming = next_kernel(run, family, root)
    if upcoming is None or upcoming == running:
        return None
    return KernelDrift(
        running=running,
        next=upcoming,
        module=module_file(upcoming, root) is not None,
        headers=has_headers(upcoming, root),
        dkms_version=dkms_version(running, root),
    )


def module_file(kernel: str, root: str = "/") -> Optional[str]:
    """Return the path of the driver's PCIe module for a kernel, or None. Modules of a kernel's own are not searched."""
    for name in _MODULE_FOLDERS:
        for folder, _, files in os.walk(os.path.join(root, "lib/modules", kernel, name)):
            for file in files:
                path = os.path.join(folder, file)
                # A link of weak-updates may have lost its target.
                if _MODULE.match(file) and _exists(path, root):
                    return path
    return None


def has_headers(kernel: str, root: str = "/") -> bool:
    """Tell whether modules can be built for a kernel."""
    path = os.path.join(root, "lib/modules", kernel, "build")
    return os.path.isdir(path) or (os.path.islink(path) and os.path.isdir(_within(root, path)))


def dkms_version(kernel: str, root: str = "/") -> Optional[str]:
    """Return the version under which DKMS has the driver's source: that built for a kernel, else the newest."""
    sources = glob.glob(os.path.join(root, DKMS_TREE, "*", "source"))
    versions = [os.path.basename(os.path.dirname(source)) for source in sources]
    built = [version for version in versions if os.path.isdir(os.path.join(root, DKMS_TREE, version, kernel))]
    return max(built or versions, key=version_key, default=None)


def drift_caution(drift: KernelDrift) -> Problem:
    """Say what the next boot loses, and what to do before it."""
    return Problem(
        check="kernel_drift",
        value=f"kernel {drift.next} boots next (now {drift.running}), and the driver has no module for it",
        rule="without drv_pcie_host.ko for the kernel a server comes up without NPUs",
        next_step="ansible-playbook playbooks/rebuild.yml, or ascend_hdk_next_kernel: rebuild"
        if drift.dkms_version
        else f"boot {drift.next} when it suits, then ansible-playbook playbooks/hdk.yml:"
        " the driver is not under DKMS, so only its installer makes the module",
    )


def reboot_refusal(drift: KernelDrift) -> Problem:
    """Say why a plan with a reboot in it is not begun."""
    return Problem(
        check="kernel_drift",
        value=f"kernel {drift.next} boots next (now {drift.running}), and the driver will have no module for it",
        rule="the reboots of this plan have to bring the NPUs back (ascend_hdk_next_kernel is warn)",
        next_step=f"boot {drift.next} first, then run again; or set ascend_hdk_next_kernel: rebuild",
    )


def headers_missing(drift: KernelDrift, packages: List[str]) -> Problem:
    """Say that no module can be built for the kernel that boots next."""
    return Problem(
        check="kernel_drift",
        value=f"no headers of kernel {drift.next}, which boots next, and no package {', '.join(packages) or 'named'}",
        rule="ascend_hdk_next_kernel is rebuild: the driver's module is built for it before the boot",
        next_step=f"offer {', '.join(packages) or 'the headers'} in the host's package source,"
        f" or make {drift.running} the boot loader's default",
    )


def _exists(path: str, root: str) -> bool:
    return os.path.exists(path) or (os.path.islink(path) and os.path.exists(_within(root, path)))


def _within(root: str, link: str) -> str:
    """Return the target of an absolute link below a root folder that is not /."""
    return os.path.join(root, os.readlink(link).lstrip("/"))
