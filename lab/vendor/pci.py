# SPDX-License-Identifier: Apache-2.0
"""The PCI devices of a lab server: the content of its ``/sys/bus/pci/devices``.

Written before each boot, as a BIOS enumerates the bus: a chip that has dropped out is not there. The files are those
that sysfs has for a device and that ``lspci`` reads. Ids: vendor 19e5, device d802 (910B), subsystem 19e5:3003
(800T A2).
"""

from __future__ import annotations

import shutil
import struct
import tempfile
from pathlib import Path
from typing import Any

from lab.vendor import faults, hardware

VENDOR = 0x19E5
SUBSYSTEM = 0x3003
CLASS = 0x120000  # processing accelerator
REVISION = 0x20
_BAR_SIZE = 0x10000000


def write(folder: Path, chips: int, hardware_folder: Path | None = None) -> None:
    """Make ``folder`` the bus of a server with this many chips, each a folder named after its bus id.

    With the server's hardware folder, ids come from its chips and the fault ``chip_missing_after_reboot`` is obeyed;
    without it the bus is that of a whole 910B2 server. What was in ``folder`` before is gone.
    """
    document = _factory(chips) if hardware_folder is None else hardware.read(hardware_folder)
    missing = None if hardware_folder is None else _missing(hardware_folder, len(document["chips"]))
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.iterdir():
        shutil.rmtree(old)
    for chip in document["chips"][:chips]:
        if chip["id"] != missing:
            _write_device(folder / chip["bus"], int(document["pci_device"], 16), chip["id"])


def _factory(chips: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        hardware.create(Path(folder), chips)
        return hardware.read(Path(folder))


def _missing(hardware_folder: Path, count: int) -> int | None:
    value = faults.read(hardware_folder).get("chip_missing_after_reboot")
    return None if value is None else faults.chip_of(value, count - 1)


def _write_device(folder: Path, device: int, number: int) -> None:
    folder.mkdir()
    bar = 0x100000000000 + number * _BAR_SIZE
    texts = {
        "vendor": f"0x{VENDOR:04x}",
        "device": f"0x{device:04x}",
        "subsystem_vendor": f"0x{VENDOR:04x}",
        "subsystem_device": f"0x{SUBSYSTEM:04x}",
        "class": f"0x{CLASS:06x}",
        "revision": f"0x{REVISION:02x}",
        "irq": str(64 + number),
        "enable": "1",
        "numa_node": str(number // 4),
        "current_link_speed": "16.0 GT/s PCIe",
        "current_link_width": "16",
        "modalias": f"pci:v{VENDOR:08X}d{device:08X}sv{VENDOR:08X}sd{SUBSYSTEM:08X}bc12sc00i00",
        "resource": _resource(bar),
        "uevent": f"PCI_ID={VENDOR:04X}:{device:04X}\nPCI_SUBSYS_ID={VENDOR:04X}:{SUBSYSTEM:04X}",
    }
    for name, text in texts.items():
        (folder / name).write_text(text + "\n", encoding="ascii")
    (folder / "config").write_bytes(_config(device, bar))


def _resource(bar: int) -> str:
    lines = [f"0x{bar:016x} 0x{bar + _BAR_SIZE - 1:016x} 0x{0x14220C:016x}"]
    return "\n".join(lines + [f"0x{0:016x} 0x{0:016x} 0x{0:016x}"] * 6)


def _config(device: int, bar: int) -> bytes:
    """Return the 256 bytes of configuration space: a type 0 header (PCI Local Bus Specification 3.0, 6.1)."""
    command_memory_and_master, status = 0x0006, 0x0000
    bar_64_bit_prefetchable = bar | 0xC
    head = struct.pack("<HHHH", VENDOR, device, command_memory_and_master, status)
    head += bytes([REVISION, 0, (CLASS >> 8) & 0xFF, CLASS >> 16]) + bytes(4)
    head += struct.pack("<Q", bar_64_bit_prefetchable) + bytes(16) + bytes(4)
    head += struct.pack("<HH", VENDOR, SUBSYSTEM) + bytes(4) + bytes(8) + bytes([0xFF, 0, 0, 0])
    return head.ljust(256, b"\0")
