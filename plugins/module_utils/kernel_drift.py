# SPDX-License-Identifier: Apache-2.0
"""Tell before a reboot that the kernel it starts has no module of the Ascend driver, and whether to build one."""

from __future__ import annotations

import glob
import os
import platform
from dataclasses import dataclass
from typing import NamedTuple, Optional

from ansible.module_utils.ascend.kernels import has_headers, kernel_key, module_file
from ansible.module_utils.command_result import Run
from ansible.module_utils.hdk.state import DKMS_TREE
from ansible.module_utils.host_problem import Problem
from ansible.module_utils.kernel_boot import next_kernel

WARN = "warn"
REBUILD = "rebuild"

NOT_UNDER_DKMS = "the driver is not under DKMS, so that only its installer makes modules"


@dataclass(frozen=True)
class NextKernel:
    """The kernel that boots next, which may be the running one, and what the installed driver has for it.

    `dkms_version` is the driver's version in DKMS's own counting, None where DKMS does not know the driver.
    """

    running: str
    release: str
    module: bool
    headers: bool
    dkms_version: Optional[str]


@dataclass(frozen=True)
class Work:
    """What the role does in this run: whether it installs a driver, and whether it reboots."""

    installs_driver: bool
    reboots: bool


class Verdict(NamedTuple):
    """What follows for the kernel that boots next: a module to build, what forbids the run, what to tell."""

    build: Optional[str] = None
    problem: Optional[Problem] = None
    caution: Optional[Problem] = None


def look_at_next_kernel(run: Run, family: Optional[str], root: str = "/", running: str = "") -> NextKernel:
    """Look for the driver's module of the kernel that boots next; of the running one where the next can't be told."""
    running = running or platform.release()
    upcoming = next_kernel(run, family, root) or running
    return NextKernel(
        running=running,
        release=upcoming,
        module=module_file(upcoming, root) is not None,
        headers=has_headers(upcoming, root),
        dkms_version=dkms_version(running, root),
    )


def judge(kernel: NextKernel, policy: str, work: Work, *, has_driver: bool, headers: str) -> Verdict:
    """Decide what a module that is missing for the next kernel means. Pure.

    `policy` is ascend_hdk_next_kernel, `headers` present, installable, missing or unknown. That the running kernel has
    no module is the plan's affair. A driver's installer builds for the running kernel alone and takes older modules
    away, so after it the next kernel has none.
    """
    lasting = kernel.module and not work.installs_driver
    if kernel.release == kernel.running or lasting or not (has_driver or work.installs_driver):
        return Verdict()
    buildable = work.installs_driver or kernel.dkms_version is not None
    if policy == REBUILD and buildable:
        if headers == "missing":
            return Verdict(problem=_headers_missing(kernel))
        return Verdict(build=f"build the driver module for kernel {kernel.release}, which boots next")
    if work.reboots:
        return Verdict(problem=_reboot_refused(kernel, buildable=buildable))
    return Verdict(caution=drift_caution(kernel))


def dkms_version(kernel: str, root: str = "/") -> Optional[str]:
    """Return the version under which DKMS has the driver's source: that built for a kernel, else the newest."""
    sources = glob.glob(os.path.join(root, DKMS_TREE[1:], "*", "source"))
    versions = [os.path.basename(os.path.dirname(source)) for source in sources]
    built = [version for version in versions if os.path.isdir(os.path.join(root, DKMS_TREE[1:], version, kernel))]
    return max(built or versions, key=kernel_key, default=None)


def drift_caution(kernel: NextKernel) -> Problem:
    """Say what the next boot loses, and what to do before it."""
    return Problem(
        check="kernel_drift",
        value=f"kernel {kernel.release} boots next (now {kernel.running}), and the driver has no module for it",
        rule="without drv_pcie_host.ko for its kernel a server comes up without NPUs",
        next_step="ansible-playbook playbooks/rebuild.yml, or ascend_hdk_next_kernel: rebuild"
        if kernel.dkms_version
        else f"{NOT_UNDER_DKMS}: boot {kernel.release} when it suits, then ansible-playbook playbooks/hdk.yml",
    )


def _reboot_refused(kernel: NextKernel, *, buildable: bool) -> Problem:
    boot_first = f"boot {kernel.release} first, then run again"
    return Problem(
        check="kernel_drift",
        value=f"kernel {kernel.release} boots next (now {kernel.running}), and the driver will have no module for it",
        rule="a reboot of this role brings the NPUs back",
        next_step=f"{boot_first}; or set ascend_hdk_next_kernel: rebuild"
        if buildable
        else f"{NOT_UNDER_DKMS}: {boot_first}",
    )


def _headers_missing(kernel: NextKernel) -> Problem:
    return Problem(
        check="kernel_drift",
        value=f"no headers of kernel {kernel.release}, which boots next, and no package that would bring them",
        rule="ascend_hdk_next_kernel is rebuild: the driver's module is built for it before it boots",
        next_step=f"offer the headers in a repository of this host, or boot {kernel.running} again by default",
    )
