# SPDX-License-Identifier: Apache-2.0
"""Processes that hold the chips' device nodes."""

import os

_PREFIXES = ("/dev/davinci", "/dev/devmm_svm", "/dev/hisi_hdc")


def holders():
    """Return {pid: set of device paths} of all other processes that hold a device open."""
    found = {}
    for name in os.listdir("/proc"):
        if name.isdigit() and int(name) != os.getpid():
            devices = _open_devices(name)
            if devices:
                found[int(name)] = devices
    return found


def name(pid):
    """Return a process's name as the kernel has it (at most 15 characters)."""
    try:
        with open("/proc/{}/comm".format(pid), encoding="utf-8", errors="replace") as stream:
            return stream.read().strip()
    except OSError:
        return ""


def memory_mb(pid):
    """Return a process's resident memory in MB: what its tensors take here lies in host memory."""
    try:
        with open("/proc/{}/statm".format(pid), encoding="ascii") as stream:
            pages = int(stream.read().split()[1])
    except (OSError, IndexError):
        return 0
    return max(1, pages * os.sysconf("SC_PAGE_SIZE") // (1024 * 1024))


def _open_devices(pid):
    devices = set()
    folder = "/proc/{}/fd".format(pid)
    try:
        descriptors = os.listdir(folder)
    except OSError:
        return devices
    for descriptor in descriptors:
        try:
            target = os.readlink(folder + "/" + descriptor)
        except OSError:
            continue
        if target.startswith(_PREFIXES):
            devices.add(target)
    return devices
