# SPDX-License-Identifier: Apache-2.0
"""The command of a light host's boot."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from lab import network, process
from lab.layout import HARDWARE, MINDSPORE_ENV, STORAGE
from lab.supervisor import disk_options

if TYPE_CHECKING:
    from lab.layout import Host
    from lab.supervisor import BootSettings

KERNEL = Path(__file__).with_name("kernel.py")
# How a host's end shows: the kernel lets the first process of its namespace die of these, see reboot(2).
REBOOT = -signal.SIGHUP
BUS = Path("/sys/bus")
PCI_DEVICES = BUS / "pci/devices"


def argv(host: Host, settings: BootSettings, bus: Path, *, machine_has_pci: bool) -> list[str]:
    """Return the command that boots a host and lasts until its last process ends; it ends with its supervisor.

    `bus` is the folder that has the host's `pci/devices`.
    """
    binds = [str(host.hardware), HARDWARE, "rw"]
    # A machine without a PCI bus has no folder for its devices: there the whole of /sys/bus is the simulated one.
    where = PCI_DEVICES if machine_has_pci else BUS
    binds += [str(bus / where.relative_to(BUS)), str(where), "ro"]
    binds += [str(host.storage), STORAGE, "rw"]
    if settings.mindspore is not None:
        binds += [settings.mindspore, MINDSPORE_ENV, "ro"]
    kernel = [sys.executable, "-IS", str(KERNEL), str(host.root), disk_options(host, settings), *binds]
    namespaces = ["unshare", "--pid", "--mount", "--uts", "--ipc", "--fork", "--kill-child", *kernel]
    return process.guarded(network.inside(host.netns, namespaces))


def first_process(pid: int) -> int | None:
    """Return the host's first process, given that of its command; None before there is one."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except FileNotFoundError:
        return None
    return int(children[0]) if children else None
