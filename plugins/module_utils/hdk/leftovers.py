# SPDX-License-Identifier: Apache-2.0
"""What of a driver lies outside its folder: kernel modules, the DKMS tree, and what stays when its script is gone."""

from __future__ import annotations

import glob
import os
from typing import List, Sequence, Tuple

from ansible.module_utils.hdk.state import (
    ASCEND_HOME,
    BUILT_TREE,
    DKMS_TREE,
    DRIVER,
    FAILED_TREE,
    FIRMWARE,
    INSTALL_INFO,
    NO_TREE,
    Component,
)

# The driver's first module; without it there is none of the others.
MODULE = "drv_pcie_host.ko"
# Where DKMS and the driver's own build put modules: Debian's, and the openEuler family's.
_MODULE_FOLDERS = ("updates", "extra", "weak-updates")
_BUILT_IN = ("updates", "updates/dkms", "extra")
_COMPRESSED = ("", ".xz", ".zst", ".gz")
NPU_SMI_PATHS = ("usr/local/sbin/npu-smi", "usr/local/bin/npu-smi", "usr/bin/npu-smi")
# The modules that the driver's packages install: a pattern of their names, and the same as glob patterns.
DRIVER_MODULES = (
    r"(?:v?drv_[^/]+|asdrv_[^/]+|ascend_(?:adapter|kernel_open_adapt|soc_platform)|ts_(?:agent|agent_vm|debug)"
    r"|debug_switch|npu_peermem)"
)
_MODULE_NAMES = (
    "drv_*",
    "vdrv_*",
    "asdrv_*",
    "ascend_adapter",
    "ascend_kernel_open_adapt",
    "ascend_soc_platform",
    "ts_agent",
    "ts_agent_vm",
    "ts_debug",
    "debug_switch",
    "npu_peermem",
)
# Files that the driver's installer puts outside its folder, and its uninstall script takes away again. What that script
# leaves (/etc/vnpu.cfg, /etc/hccn.conf, logs) stays.
INSTALLED_ELSEWHERE = (
    "/etc/ascend_filelist.info",
    "/etc/ascend_driver.conf",
    "/etc/custom_process.cfg",
    "/etc/d-pcivnic.conf",
    "/etc/dms_events_conf.lst",
    "/etc/hccn_weak_dict.conf",
    "/etc/hdcBasic.cfg",
    "/etc/ld.so.conf.d/ascend_driver_so.conf",
    "/etc/logrotate.d/nputool-log",
    "/lib/davinci.conf",
    "/usr/bin/device_boot_init.sh",
    "/usr/bin/hccn_tool",
    "/usr/bin/msnpureport",
    "/usr/local/bin/npu-healthcheck.sh",
    "/usr/local/sbin/npu-healthcheck.sh",
    "/usr/local/dcmi",
)
# What loads the driver at boot: an init script in both families' folders (named with and without .sh), or a unit.
_STARTED_AT_BOOT = (
    "/etc/init.d/host_sys_init",
    "/etc/init.d/host_sys_init.sh",
    "/etc/rc.d/init.d/host_sys_init",
    "/etc/rc.d/init.d/host_sys_init.sh",
    "/etc/systemd/system/host_sys_init.service",
    "/etc/systemd/system/multi-user.target.wants/host_sys_init.service",
)


def driver_modules(kernel: str, root: str = "/") -> List[str]:
    """Return the paths of the driver's first module for this kernel, plain or compressed; none was built when empty."""
    found: List[str] = []
    for folder in _MODULE_FOLDERS:
        pattern = os.path.join(root, "lib/modules", glob.escape(kernel), folder, "**", MODULE + "*")
        found += glob.glob(pattern, recursive=True)
    return sorted(found)


def driver_loaded(root: str = "/") -> bool:
    """Tell whether the kernel has the driver: its module, or the device node that it makes."""
    return any(os.path.exists(os.path.join(root, path)) for path in ("sys/module/drv_pcie_host", "dev/davinci_manager"))


def dkms_tree(root: str = "/") -> str:
    """Tell what is in DKMS's tree of the driver: NO_TREE, BUILT_TREE or FAILED_TREE."""
    tree = os.path.join(root, DKMS_TREE[1:])
    if not os.path.isdir(tree):
        return NO_TREE
    # DKMS takes a version's build folder away when the build was good.
    failed = glob.glob(os.path.join(tree, "*", "build"))
    built = glob.glob(os.path.join(tree, "*", "*", "*", "module", "*.ko*"))
    return BUILT_TREE if built and not failed else FAILED_TREE


def leftovers(driver: Component, firmware: Component, root: str = "/") -> Tuple[str, ...]:
    """Return the paths that no uninstall script takes (any more), as the host names them."""
    patterns: List[str] = []
    if not driver.script:
        patterns += [DKMS_TREE, "/usr/src/davinci_ascend-*", *(f"/{path}" for path in NPU_SMI_PATHS)]
        patterns += [
            f"/lib/modules/*/{folder}/{name}.ko{end}"
            for folder in _BUILT_IN
            for name in _MODULE_NAMES
            for end in _COMPRESSED
        ]
        patterns += [*_STARTED_AT_BOOT, "/etc/rc[0-6S].d/[SK][0-9][0-9]host_sys_init*"]
        patterns += [f"{ASCEND_HOME}/host_*.sh", *INSTALLED_ELSEWHERE]
    patterns += [
        f"{ASCEND_HOME}/{name}"
        for name, component in ((DRIVER, driver), (FIRMWARE, firmware))
        if not component.script and component.home == ASCEND_HOME
    ]
    # A script reads there whose files it removes: what names no component that has one is in the way of the next.
    if not any(component.script and component.named for component in (driver, firmware)):
        patterns.append(INSTALL_INFO)
    return tuple(_existing(patterns, root))


def _existing(patterns: Sequence[str], root: str) -> List[str]:
    top = root.rstrip("/")
    paths = [path for pattern in patterns for path in sorted(glob.glob(top + pattern))]
    # An empty folder is a mount point that docker made, and nobody stumbles over it; but not in a program's place.
    return [
        path[len(top) :] for path in paths if not os.path.isdir(path) or path.endswith("/npu-smi") or _entries(path)
    ]


def _entries(folder: str) -> List[str]:
    return os.listdir(folder)
