# SPDX-License-Identifier: Apache-2.0
"""Look at a host's HDK, changing nothing: files, running versions, chips on the bus, what holds them."""

from __future__ import annotations

import glob
import os
import platform
import re
from typing import Dict, List, Optional, Tuple

from ansible.module_utils.ascend import lease_file
from ansible.module_utils.ascend.version_info import installed_version, parse_key_values
from ansible.module_utils.command_result import Run
from ansible.module_utils.hdk import leftovers as hdk_leftovers
from ansible.module_utils.hdk import usage as hdk_usage
from ansible.module_utils.hdk.chips import npu_smi_path, running_chips
from ansible.module_utils.hdk.record import HdkRecord
from ansible.module_utils.hdk.state import (
    ASCEND_HOME,
    DRIVER,
    FIRMWARE,
    INSTALL_INFO,
    UNINSTALL,
    Component,
    HdkFacts,
)
from ansible.module_utils.os_packages import KERNEL, for_kernel, installable, missing_packages

ASCEND_VENDOR = "0x19e5"
# PCI devices of Huawei's vendor id that are NPUs; a Kunpeng server has many others of that vendor.
CHIP_DEVICES = {"910": "d801", "910b": "d802", "a3": "d803", "310p": "d500"}

_KERNEL_RELEASE = re.compile(r'UTS_RELEASE "([^"]+)"')
_STARTTIME = 19


def look_at_hdk(
    run: Run, family: Optional[str], os_packages: List[str], job_root: Optional[str], root: str = "/"
) -> HdkFacts:
    """Return the facts that the plan depends on; packages named with {kernel} bring the running kernel's headers."""
    kernel = platform.release()
    driver_loaded = hdk_leftovers.driver_loaded(root)
    answer = running_chips(run, root, driver_loaded=driver_loaded)
    info = parse_key_values(_read(os.path.join(root, INSTALL_INFO[1:])) or "")
    driver, firmware = component(DRIVER, info, root, complete=answer.complete), component(FIRMWARE, info, root)
    packages = [name for name in os_packages if KERNEL in name]
    headers, headers_release = kernel_headers(run, family, packages, kernel, root)
    return HdkFacts(
        architecture=platform.machine(),
        kernel=kernel,
        headers=headers,
        headers_release=headers_release,
        bus_devices=tuple(bus_devices(root)),
        driver=driver,
        firmware=firmware,
        chips=answer.chips,
        npu_smi_error=answer.error,
        chips_unknown=answer.unknown,
        driver_module=bool(hdk_leftovers.driver_modules(kernel, root)),
        driver_loaded=driver_loaded,
        dkms_tree=hdk_leftovers.dkms_tree(root),
        leftovers=hdk_leftovers.leftovers(driver, firmware, root),
        user=info.get("UserName") or None,
        group=info.get("UserGroup") or None,
        for_all=info.get("Driver_Install_For_All", "yes") == "yes",
        holders=tuple(hdk_usage.holders(run, root)),
        installers=tuple(hdk_usage.installers(root)),
        stopped=HdkRecord(root).stopped(),
        job=lease_file.holder(job_root) if job_root else None,
        seconds=HdkRecord(root).seconds(),
    )


def bus_devices(root: str = "/") -> List[str]:
    """Return the PCI device ids of the Ascend chips, one entry a chip."""
    found = []
    for folder in sorted(glob.glob(os.path.join(root, "sys/bus/pci/devices/*"))):
        if _read(os.path.join(folder, "vendor")) == ASCEND_VENDOR:
            device = (_read(os.path.join(folder, "device")) or "")[2:]
            if device in CHIP_DEVICES.values():
                found.append(device)
    return found


def kernel_headers(
    run: Run, family: Optional[str], packages: List[str], kernel: str, root: str = "/"
) -> Tuple[str, Optional[str]]:
    """Return present, other, installable, missing or unknown (no lists were fetched), and whose release they are of."""
    build = os.path.join(root, "lib/modules", kernel, "build")
    if os.path.isdir(build):
        release = _release_of_headers(build)
        return ("present" if release in (None, kernel) else "other"), release
    absent = missing_packages(run, family, for_kernel(packages, kernel))
    answers = [installable(run, family, name, root) for name in absent]
    if None in answers:
        return "unknown", None
    return ("installable" if answers and all(answers) else "missing"), None


def _release_of_headers(build: str) -> Optional[str]:
    release = _read(os.path.join(build, "include/config/kernel.release"))
    match = _KERNEL_RELEASE.search(_read(os.path.join(build, "include/generated/utsrelease.h")) or "")
    return release or (match.group(1) if match else None)


def component(name: str, info: Dict[str, str], root: str = "/", *, complete: bool = True) -> Component:
    """Read what is installed of driver or firmware, and what this boot has seen of it.

    `info` is /etc/ascend_install.info, `complete` whether npu-smi calls the driver's installation complete.
    """
    registered = _registered(name, info)
    home = _home(name, registered, root)
    folder = os.path.join(root, home[1:], name)
    path = os.path.join(folder, "version.info")
    on_disk = installed_version(_read(path) or "")
    entry = HdkRecord(root).read().get(name, {})
    in_this_boot = bool(entry) and entry.get("boot_id") == HdkRecord(root).boot_id()
    uninstalled = entry.get("action") == UNINSTALL
    recorded = on_disk is not None and not uninstalled and entry.get("version") == on_disk
    written = in_this_boot if recorded else on_disk is not None and os.stat(path).st_ctime > _boot_time(root)
    owed = in_this_boot and bool(entry.get("reboot_owed"))
    removed = on_disk is None and uninstalled and in_this_boot and bool(entry.get("finished"))
    return Component(
        on_disk=on_disk,
        written_this_boot=written,
        interrupted=bool(entry) and not entry.get("finished"),
        reboot_owed=owed and (recorded or removed),
        home=home,
        named=registered is not None,
        missing=tuple(_missing(name, on_disk, info, folder, root, complete=complete)),
        script=os.path.isfile(os.path.join(folder, "script/uninstall.sh")),
        removed=removed,
    )


def _registered(name: str, info: Dict[str, str]) -> Optional[str]:
    return info.get(f"{name.title()}_Install_Path_Param")


def _home(name: str, registered: Optional[str], root: str) -> str:
    """Return where the component is; a path that the install info names, and where nothing is, counts for nothing."""
    if registered and os.path.isabs(registered) and os.path.isdir(os.path.join(root, registered[1:], name)):
        return registered.rstrip("/")
    return ASCEND_HOME


def _missing(
    name: str, on_disk: Optional[str], info: Dict[str, str], folder: str, root: str, *, complete: bool
) -> List[str]:
    """Return what an installation that was cut short left out; an installer begins with the install info."""
    if on_disk is None:
        return ["version.info"] if _registered(name, info) else []
    if name != DRIVER:
        return []
    found = [] if os.path.isfile(os.path.join(folder, "tools/upgrade-tool")) else ["upgrade-tool"]
    found += [] if npu_smi_path(root) else ["npu-smi"]
    # Older releases don't write it, so that its absence says something through npu-smi only.
    status = info.get("Driver_Install_Status", "complete")
    return found + ([] if status == "complete" and complete else ["Driver_Install_Status=complete"])


def _boot_time(root: str) -> float:
    """Return when this boot's first process started, seconds since the epoch.

    /proc/stat's btime alone would be the kernel's start, which in a container of systemd is another machine's.
    """
    btime = re.search(r"^btime (\d+)$", _read(os.path.join(root, "proc/stat")) or "", re.MULTILINE)
    # proc(5): the name, which may hold blanks, ends with the last bracket; starttime is the 20th field after it.
    fields = (_read(os.path.join(root, "proc/1/stat")) or "").rpartition(")")[2].split()
    if not btime or len(fields) <= _STARTTIME:
        return 0.0
    return int(btime.group(1)) + int(fields[_STARTTIME]) / os.sysconf("SC_CLK_TCK")


def _read(path: str) -> Optional[str]:
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            return stream.read().strip()
    except OSError:
        return None
