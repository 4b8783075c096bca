# SPDX-License-Identifier: Apache-2.0
"""Look at a host's HDK, changing nothing: files, running versions, chips on the bus, who uses them."""

from __future__ import annotations

import glob
import os
import platform
import re
from concurrent.futures import ThreadPoolExecutor
from typing import Dict, Iterator, List, Optional, Tuple

from ansible.module_utils import npu_smi
from ansible.module_utils.command_result import Result, Run
from ansible.module_utils.hdk_record import HdkRecord
from ansible.module_utils.hdk_state import DRIVER, FIRMWARE, Chip, Component, HdkFacts, Holder
from ansible.module_utils.os_packages import KERNEL, for_kernel, installable, missing_packages
from ansible.module_utils.version_info import installed_version

ASCEND_VENDOR = "0x19e5"
# PCI devices of Huawei's vendor id that are NPUs; a Kunpeng server has many others of that vendor.
CHIP_DEVICES = {"910": "d801", "910b": "d802", "a3": "d803", "310p": "d500"}

NPU_SMI_PATHS = ("usr/local/sbin/npu-smi", "usr/local/bin/npu-smi", "usr/bin/npu-smi")
_NPU_DEVICE = re.compile(r"/dev/davinci\d+$")
_CONTAINER_ID = re.compile(r"\b[0-9a-f]{64}\b")
# npu-smi answers a board in some tenths of a second; eight one after the other would be most of a look.
_BOARDS_AT_ONCE = 4
_STARTTIME = 19


def look_at_hdk(run: Run, family: Optional[str], os_packages: List[str], root: str = "/") -> HdkFacts:
    """Return the facts that the plan depends on; packages named with {kernel} bring the running kernel's headers."""
    kernel = platform.release()
    chips, error = running_chips(run, root)
    return HdkFacts(
        architecture=platform.machine(),
        kernel=kernel,
        headers=kernel_headers(run, family, [name for name in os_packages if KERNEL in name], kernel, root),
        bus_devices=tuple(bus_devices(root)),
        driver=component(DRIVER, root),
        firmware=component(FIRMWARE, root),
        chips=tuple(chips),
        npu_smi_error=error,
        holders=tuple(holders(run, root)),
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


def kernel_headers(run: Run, family: Optional[str], packages: List[str], kernel: str, root: str = "/") -> str:
    """Return present, installable, missing, or unknown when the package lists were never fetched."""
    if os.path.isdir(os.path.join(root, "lib/modules", kernel, "build")):
        return "present"
    absent = missing_packages(run, family, for_kernel(packages, kernel))
    answers = [installable(run, family, name, root) for name in absent]
    if None in answers:
        return "unknown"
    return "installable" if answers and all(answers) else "missing"


def component(name: str, root: str = "/") -> Component:
    """Read what is installed of driver or firmware, and what this boot has seen of it."""
    path = os.path.join(root, "usr/local/Ascend", name, "version.info")
    text = _read(path)
    on_disk = installed_version(text) if text else None
    record = HdkRecord(root)
    entry = record.read().get(name, {})
    in_this_boot = bool(entry) and entry.get("boot_id") == record.boot_id()
    interrupted = bool(entry) and not entry.get("finished")
    if on_disk is None:
        return Component(on_disk=None, written_this_boot=False, interrupted=interrupted, reboot_owed=False)
    recorded = bool(entry) and entry.get("version") == on_disk
    return Component(
        on_disk=on_disk,
        written_this_boot=in_this_boot if recorded else os.stat(path).st_ctime > _boot_time(root),
        interrupted=interrupted,
        reboot_owed=recorded and in_this_boot and bool(entry.get("reboot_owed")),
    )


def running_chips(run: Run, root: str = "/") -> Tuple[List[Chip], Optional[str]]:
    """Ask npu-smi for all chips and what runs on them; without an answer no chips and the reason."""
    program = npu_smi_path(root)
    if program is None:
        return [], "npu-smi is not installed"
    answer = run([program, "info"])
    statuses = npu_smi.parse_info(answer.stdout) if answer.rc == 0 else []
    if not statuses:
        return [], _why_no_answer(answer)
    ids = sorted({status.npu_id for status in statuses})
    with ThreadPoolExecutor(max_workers=_BOARDS_AT_ONCE) as pool:
        boards = dict(zip(ids, pool.map(lambda npu: _board(run, program, npu), ids)))
    return [_chip(run, program, status, boards[status.npu_id]) for status in statuses], None


def npu_smi_path(root: str = "/") -> Optional[str]:
    """Return where npu-smi is, or None; a folder of that name (left by a container mount) is none."""
    candidates = (os.path.join(root, path) for path in NPU_SMI_PATHS)
    return next((path for path in candidates if os.path.isfile(path)), None)


def npu_smi_folders(root: str = "/") -> List[str]:
    """Return npu-smi's paths where a folder is in the program's place."""
    return [path for path in (os.path.join(root, name) for name in NPU_SMI_PATHS) if os.path.isdir(path)]


def holders(run: Run, root: str = "/") -> List[Holder]:
    """Return the processes that have an NPU open, in containers too; all of them only for root."""
    found = []
    names: Dict[str, str] = {}
    for pid in _pids_with_npu(root):
        command = _read(os.path.join(root, "proc", str(pid), "comm")) or "?"
        match = _CONTAINER_ID.search(_read(os.path.join(root, "proc", str(pid), "cgroup")) or "")
        container = None
        if match:
            identity = match.group(0)
            if identity not in names:
                answer = run(["docker", "inspect", "--format", "{{.Name}}", identity])
                names[identity] = answer.stdout.strip().lstrip("/") if answer.rc == 0 else identity[:12]
            container = names[identity]
        found.append(Holder(pid=pid, name=command, container=container))
    return found


def _pids_with_npu(root: str) -> Iterator[int]:
    for folder in sorted(glob.glob(os.path.join(root, "proc/[0-9]*"))):
        try:
            targets = [os.readlink(entry.path) for entry in os.scandir(os.path.join(folder, "fd"))]
        except OSError:
            continue  # the process has ended meanwhile, or belongs to somebody else
        if any(_NPU_DEVICE.match(target) for target in targets):
            yield int(os.path.basename(folder))


def _board(run: Run, program: str, npu_id: int) -> npu_smi.Board:
    return npu_smi.parse_board(run([program, "info", "-t", "board", "-i", str(npu_id)]).stdout)


def _chip(run: Run, program: str, status: npu_smi.ChipStatus, board: npu_smi.Board) -> Chip:
    error = ""
    if status.health != "OK":
        argv = [program, "info", "-i", str(status.npu_id), "-c", str(status.chip_id), "-t", "health"]
        health = npu_smi.parse_health(run(argv).stdout)
        error = " ".join([*health.error_codes, health.information]).strip() if health else ""
    return Chip(
        npu_id=status.npu_id,
        chip_id=status.chip_id,
        name=status.name,
        health=status.health,
        error=error,
        driver_version=board.driver_version,
        firmware_version=board.firmware_version,
        compatibility=board.compatibility,
    )


def _why_no_answer(answer: Result) -> str:
    error = npu_smi.parse_error(answer.stdout) or npu_smi.parse_error(answer.stderr)
    if error:
        return error.text
    lines = [line.strip() for line in (answer.stdout + "\n" + answer.stderr).splitlines() if line.strip()]
    return f"npu-smi info ended with {answer.rc}: {lines[-1] if lines else 'it printed nothing'}"


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
