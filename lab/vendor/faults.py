# SPDX-License-Identifier: Apache-2.0
"""Faults of one server's hardware and vendor software, kept in its hardware folder.

The file ``faults.json`` maps the name of each active fault to its value. A value of ``True`` takes the default
that the description names.
"""

from __future__ import annotations

import json
import os
import re
import tempfile
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

FILE = "faults.json"
# Made in the hardware folder by hardware that takes the server's power away; obeyed by the host's supervisor.
POWER_CUT = "power_cut"

KNOWN: dict[str, str] = {
    "driver_rc1": "the driver package fails in the middle and ends with 1; files stay behind, the module is missing",
    "driver_power_cut": "the driver installer dies in the middle, once (clears itself): half of its files lie there",
    "driver_load_failure": "the kernel module does not load at boot: no /dev/davinci*",
    "dkms_failure": "the kernel module does not build",
    "hot_reset_failure": "chips cannot be reset while the server runs: driver changes need a reboot (rc 2)",
    "slow_install": "seconds each package installation takes longer (default 5)",
    "no_space": "MB that are free under /usr/local (default 100)",
    "device_busy": "the chips are held by something that no process list shows",
    "firmware_rc1": "the firmware package fails and ends with 1; no chip is flashed",
    "firmware_rc2": "the firmware package succeeds and ends with 2",
    "firmware_power_cut": "the firmware installer dies when half of the chips are flashed, once (clears itself)",
    "firmware_chip_skipped": "chip id that the firmware package silently does not flash (default 0)",
    "uninstall_failure": "uninstall.sh of the driver fails and ends with 1",
    "chip_missing_after_reboot": "chip id that is gone from the PCI bus after the next boot (default: the last one)",
    "chip_alarm": "chip id whose health is Alarm (default 0)",
    "chip_critical": "chip id whose health is Critical (default 0)",
    "hbm_held": "chip id with 20000 MB of HBM held by no process, until the chip is reset (default 0)",
    "npu_smi_8005": "npu-smi cannot initialise the chips: ret is -8005",
    "npu_smi_8020": "npu-smi finds the chips used by somebody else: ret is -8020",
    "npu_smi_slow": "seconds (default 20) that dcmi takes for each call of npu-smi, as on a loaded server",
    "board_hangs": "chip id whose board query never answers (default 0)",
    "board_na": "chip id whose board query says NA for all versions (default 0)",
    "board_fails": "chip id whose board query fails and ends with 1 (default 0)",
    "link_down": "chip id whose RoCE link is DOWN (default 0)",
    "net_health": "word that hccn_tool -net_health gives for every chip (default Unreachable)",
    "flash_base": "release that the chips' flash asks for at least, whatever firmware is in it (default 23.0.3)",
    "slow_boot": "seconds (default 60) each boot takes longer; honoured by the host's supervisor",
    "power_cut": "STEP:PERCENT: power is lost, once (clears itself), and comes back, when the driver's or firmware's "
    "installation, the driver's uninstall or the boot is that far: driver:40, firmware:50, uninstall:50, boot:0",
    "stall": "STEP:PERCENT: such a step stays where it is when it is that far, until the fault is cleared",
    "late_devices": "seconds (default 60) after the boot until chips have started and device nodes appear",
    "no_boot": "the server does not come back from a reboot; honoured by the host's supervisor",
}

_STEP_AND_PROGRESS = re.compile(r"(driver|firmware|uninstall|boot):(100|[1-9]?\d)")

# Their values are numbers; those of net_health and flash_base are words. power_cut and stall take a step and its
# progress; all others are just there.
NUMBERED = frozenset(
    {
        "slow_install",
        "no_space",
        "firmware_chip_skipped",
        "chip_missing_after_reboot",
        "chip_alarm",
        "chip_critical",
        "hbm_held",
        "npu_smi_slow",
        "board_hangs",
        "board_na",
        "board_fails",
        "link_down",
        "slow_boot",
        "late_devices",
    }
)
WORDED = frozenset({"net_health", "flash_base"})


def read(hardware: Path) -> dict[str, Any]:
    """Return the active faults of the server with this hardware folder, name to value."""
    try:
        document = json.loads((hardware / FILE).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    return dict(document)


def set_fault(hardware: Path, name: str, value: Any = True) -> None:  # noqa: FBT002 - most faults are just there
    """Make a fault active; ValueError says what is wrong with its name or value."""
    if name not in KNOWN:
        raise ValueError(f"unknown fault {name!r}; known: {', '.join(sorted(KNOWN))}")
    _check_value(name, value)
    _write(hardware, {**read(hardware), name: value})


def clear(hardware: Path, name: str | None = None) -> None:
    """Heal one fault, or all of them."""
    active = read(hardware)
    if name is not None and name not in KNOWN:
        raise ValueError(f"unknown fault {name!r}; known: {', '.join(sorted(KNOWN))}")
    _write(hardware, {} if name is None else {key: value for key, value in active.items() if key != name})


def chip_of(value: Any, default: int) -> int:
    """Return the chip id that a fault's value means; ``True`` means the default."""
    return default if value is True else int(value)


def _check_value(name: str, value: Any) -> None:
    if name in ("power_cut", "stall"):
        if not isinstance(value, str) or not _STEP_AND_PROGRESS.fullmatch(value):
            raise ValueError(f"{name}={value!r}: a step and its progress are needed ({KNOWN[name]})")
        return
    if value is True or (name in WORDED and isinstance(value, str)):
        return
    if name in NUMBERED:
        if isinstance(value, bool) or not isinstance(value, (int, float)) or value < 0:
            raise ValueError(f"{name}={value!r}: a number, 0 or more, is needed ({KNOWN[name]})")
    else:
        raise ValueError(f"{name}={value!r}: this fault takes no such value ({KNOWN[name]})")


def _write(hardware: Path, active: dict[str, Any]) -> None:
    # Renamed into place: the server may read it at any moment.
    descriptor, name = tempfile.mkstemp(dir=hardware, prefix=f".{FILE}.")
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        json.dump(active, stream, indent=1, sort_keys=True)
        stream.write("\n")
    os.chmod(name, 0o644)  # noqa: PTH101 - a descriptor's name, not a path of ours
    os.replace(name, hardware / FILE)  # noqa: PTH105
