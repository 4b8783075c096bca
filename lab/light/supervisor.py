# SPDX-License-Identifier: Apache-2.0
"""The power supply of all light hosts of a lab: does for each of them what lab.supervisor does for one host.

Runs as `python3 -m lab.light.supervisor LAB GROUP`. A host's power is on while its file `powered` is there; it finds
hosts that are new, too. Hosts end with this process, whatever ends it.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from lab import network, process
from lab.cgroup import Group
from lab.errors import LabError
from lab.layout import find_lab
from lab.light import machine
from lab.settings import require
from lab.supervisor import BootSettings, boot_fault, delay_seconds, record
from lab.vendor import pci

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from lab.layout import Host, Lab
    from lab.process import Identity

# The fault that takes a chip from the bus.
CHIP_MISSING = "chip_missing_after_reboot"
_POLL_SECONDS = 0.1


class Supply:
    """One host's power."""

    def __init__(self, host: Host, owner: Identity, bus: Path) -> None:
        self.host = host
        self._owner = owner
        self._bus = bus
        self._owned = False
        self._machine: subprocess.Popen[bytes] | None = None
        self._cut = False
        self._held = False
        self._boots_at: float | None = None

    def goes_off(self) -> bool:
        """Obey the switch and power cuts; tell whether the host went off just now, for good while `powered` is gone."""
        on = self.host.powered.exists()
        if self._machine is None:
            return self._owned and not on and self._note_off(code=0)
        self._cut = self._cut or self.host.power_cut.exists()
        if self._cut or not on:
            self._kill(self._machine.pid)
        code = self._machine.poll()
        if code is None:
            return False
        if code != machine.REBOOT and not self._cut:
            self.host.powered.unlink(missing_ok=True)
        return self._note_off(code=code)

    def release(self) -> None:
        """Say so when the host is off for good."""
        if not self.host.powered.exists():
            self._owned = False
            self.host.supervisor.unlink(missing_ok=True)

    def boots(self, now: float) -> bool:
        """Tell whether the host boots now: its power is on, `no_boot` is not injected, `slow_boot` is over."""
        if self._machine is not None or not self.host.powered.exists():
            return False
        if not self._owned:
            self._owner.write(self.host.supervisor)
            self._owned = True
        if boot_fault(self.host.faults, "no_boot"):
            if not self._held:
                record(self.host, "no_boot")
            self._held = True
            return False
        self._held = False
        if self._boots_at is None:
            seconds = delay_seconds(boot_fault(self.host.faults, "slow_boot"))
            if seconds:
                record(self.host, "slow_boot", seconds=seconds)
            self._boots_at = now + seconds
        return now >= self._boots_at

    def boot(self) -> None:
        """Boot the host."""
        settings = BootSettings.read(self.host.boot_settings)
        bus = self._bus
        if boot_fault(self.host.faults, CHIP_MISSING) is not None:
            bus = self.host.hardware / "bus"
            write_bus(bus, settings.chips, self.host.hardware)
        for left in (self.host.os_boot, self.host.power_cut):
            left.unlink(missing_ok=True)
        record(self.host, "boot")
        with self.host.console.open("ab") as console:
            self._machine = subprocess.Popen(
                machine.argv(self.host, settings, bus, machine_has_pci=machine.PCI_DEVICES.is_dir()),
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=subprocess.STDOUT,
            )

    def _note_off(self, *, code: int) -> bool:
        record(self.host, "off", code=code)
        self._machine, self._cut, self._held, self._boots_at = None, False, False, None
        return True

    @staticmethod
    def _kill(pid: int) -> None:
        """Kill the host's first process, and all others with it; its command ends when the last of them is gone."""
        with suppress(ProcessLookupError):
            os.kill(machine.first_process(pid) or pid, signal.SIGKILL)


def step(lab: Lab, supplies: Sequence[Supply], now: float) -> None:
    """Look at every host once. What goes wrong with one host is told, and the others keep their power."""
    off = [supply for supply in supplies if supply.goes_off()]
    plug(lab, off, on=False)
    for supply in off:
        supply.release()
    booting = [supply for supply in supplies if supply.boots(now)]
    plug(lab, booting, on=True)
    for supply in booting:
        try:
            supply.boot()
        except (OSError, ValueError) as error:
            print(f"{supply.host.name}: {error}", flush=True)
            supply.host.powered.unlink(missing_ok=True)


def plug(lab: Lab, supplies: Sequence[Supply], *, on: bool) -> None:
    """Plug the hosts' cables in or out."""
    try:
        network.plug(lab, [supply.host for supply in supplies], on=on)
    except LabError as error:
        print(error, flush=True)


def write_bus(bus: Path, chips: int, hardware: Path | None = None) -> None:
    """Enumerate the bus of a server with these chips: of all that are whole, or of the one with this hardware."""
    pci.write(bus / machine.PCI_DEVICES.relative_to(machine.BUS), chips, hardware)


def main(name: str, group: str) -> None:
    """Serve a lab's light hosts until killed."""
    lab = find_lab(name)
    Group(path=group).enter("hosts")
    own = process.identify(os.getpid())
    if own is None:
        return
    own.write(lab.supervisor)
    # Servers with the same chips have the same bus, and thousands of small files are slow to write.
    write_bus(lab.bus, require(lab).chips)
    supplies: dict[str, Supply] = {}
    while True:
        for path in (lab.state / "hosts").glob("node*/powered"):
            if path.parent.name not in supplies:
                host = lab.host(int(path.parent.name.removeprefix("node")))
                supplies[host.name] = Supply(host, own, lab.bus)
        step(lab, [*supplies.values()], time.monotonic())
        time.sleep(_POLL_SECONDS)


if __name__ == "__main__":
    main(*sys.argv[1:])
