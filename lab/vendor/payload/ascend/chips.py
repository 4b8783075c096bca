# SPDX-License-Identifier: Apache-2.0
"""The chips: what is in them, and what is wrong with them.

On the server they are read over the bus, live. In a container there is no bus: there the driver's folder carries what
the loaded driver last published.
"""

import os

from . import files, paths

_ALARM_CODES = "A4025021 8C03A000 8C084E00"
_ALARM_TEXTS = ("ascend_monitor adda heart beat lost error", "hbm controller ecc error", "node heart beat lost")
HELD_MB = 20000


def on_server():
    """Tell whether the bus is in reach."""
    return os.path.exists(paths.CHIPS)


def on_bus(chip):
    """Tell whether a chip answered when the bus was enumerated."""
    return os.path.isdir(os.path.join(paths.PCI_DEVICES, chip["bus"]))


def read():
    """Return model, chips, active faults and the loaded driver's version (None without one)."""
    if on_server():
        document = files.read_json(paths.CHIPS)
        document["faults"] = files.read_json(paths.FAULTS) or {}
        document["loaded"] = files.read_json(paths.LOADED)
        return document
    return files.read_json(paths.published()) or {"chips": [], "faults": {}, "loaded": None}


def faults():
    """Return the active faults by name."""
    return read()["faults"]


def fault_number(name, default):
    """Return the number an active fault carries, ``default`` where it is just there, None where it is not."""
    return number_of(faults(), name, default)


def number_of(active, name, default):
    """Return the number that a fault among ``active`` carries, as fault_number does."""
    value = active.get(name)
    if value is None or value is False:
        return None
    return default if value is True else value


def heal(name):
    """Remove a fault that happens once."""
    active = files.read_json(paths.FAULTS) or {}
    active.pop(name, None)
    files.write_json(paths.FAULTS, active)


def change(function):
    """Apply ``function`` to each chip and write the chips back."""
    document = files.read_json(paths.CHIPS)
    for chip in document["chips"]:
        function(chip)
    files.write_json(paths.CHIPS, document)


def boot_id():
    """Return what names this boot."""
    return (files.read_text(paths.BOOT_ID) or "").strip()


def start_flashed_firmware():
    """Let every chip run what is in its flash, if that was written before this boot."""
    boot = boot_id()

    def start(chip):
        firmware = chip["firmware"]
        if firmware["flashed_in_boot"] != boot:
            firmware["running"] = firmware["flash"]

    change(start)


def flash(chip_ids, version, release):
    """Write a firmware version into the flash of these chips."""
    boot = boot_id()

    def write(chip):
        if chip["id"] in chip_ids:
            chip["firmware"].update(flash=version, flash_release=release, flashed_in_boot=boot)

    change(write)


def flash_base(document, chip):
    """Return the release that a chip's flash asks for at least: that of its firmware, unless the hardware knows better."""
    fixed = document["faults"].get("flash_base")
    if fixed is None:
        return chip["firmware"]["flash_release"]
    return "23.0.3" if fixed is True else fixed


def health(document, chip_id):
    """Return (word, error codes, error texts) of a chip."""
    active = document["faults"]
    if number_of(active, "chip_critical", 0) == chip_id:
        return "Critical", "80E18401", ("npu hbm multi bit ecc error",)
    if number_of(active, "chip_alarm", 0) == chip_id:
        return "Alarm", _ALARM_CODES, _ALARM_TEXTS
    return "OK", "NA", ("NA",)
