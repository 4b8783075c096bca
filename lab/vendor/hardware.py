# SPDX-License-Identifier: Apache-2.0
"""What is in the chips of one server and survives its operating system.

The folder is mounted into the server at ``/var/lib/hardware``. ``chips.json`` holds for each chip its bus id, serial
number, MAC address, TLS switch, and the firmware: the version in flash, the version that runs, and the boot in which
flash was last written (a chip starts what is in flash at the first boot after that).
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

FILE = "chips.json"

# An 800T A2 as its npu-smi lists it: chip 0 at C1, 1 at 01, and so on.
_BUSES = (0xC1, 0x01, 0xC2, 0x02, 0x81, 0x41, 0x82, 0x42, 0xC3, 0x03, 0xC4, 0x04, 0x83, 0x43, 0x84, 0x44)

# HBM in MB and PCI device id of the chips a server may carry.
_MODELS = {
    "910A": (32768, "d801"),
    "910B1": (65536, "d802"),
    "910B2": (65536, "d802"),
    "910B3": (65536, "d802"),
    "910B4": (32768, "d802"),
}

# A server comes from the factory with the firmware of an older release in flash.
FACTORY_FIRMWARE = "7.0.0.5.242"
FACTORY_RELEASE = "23.0.rc3"


def create(
    folder: Path,
    chips: int,
    model: str = "910B2",
    *,
    firmware: str = FACTORY_FIRMWARE,
    firmware_release: str = FACTORY_RELEASE,
) -> None:
    """Put the chips of a server fresh from the factory into a folder; ValueError when there is no such server."""
    if not 1 <= chips <= len(_BUSES):
        raise ValueError(f"{chips} chips: a server has 1 to {len(_BUSES)}")
    if model not in _MODELS:
        raise ValueError(f"unknown chip model {model!r}; known: {', '.join(_MODELS)}")
    hbm, device = _MODELS[model]
    folder.mkdir(parents=True, exist_ok=True)
    document = {
        "model": model,
        "pci_device": device,
        "hbm_mb": hbm,
        "chips": [_chip(number, firmware, firmware_release) for number in range(chips)],
    }
    (folder / FILE).write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    (folder / "faults.json").write_text("{}\n", encoding="utf-8")


def read(folder: Path) -> dict[str, Any]:
    """Return what is in the chips."""
    document: dict[str, Any] = json.loads((folder / FILE).read_text(encoding="utf-8"))
    return document


def _chip(number: int, firmware: str, release: str) -> dict[str, Any]:
    return {
        "id": number,
        "bus": f"0000:{_BUSES[number]:02x}:00.0",
        "serial": str(102425528574 + number * 1117),
        "mac": f"02:00:5e:10:00:{number:02x}",
        "tls": 0,
        "firmware": {"flash": firmware, "flash_release": release, "running": firmware, "flashed_in_boot": ""},
    }
