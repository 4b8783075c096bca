# SPDX-License-Identifier: Apache-2.0
"""The power supply of one host: boots it, boots it again when it reboots or loses power, obeys faults of the boot.

Runs as `python3 -m lab.supervisor LAB INDEX` in a mount namespace of its own, where it mounts the host's root: whatever
ends it, no mount stays behind on the machine.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lab import network, nspawn, overlay
from lab.cgroup import Group
from lab.layout import find_lab
from lab.process import identify, run
from lab.vendor import pci

if TYPE_CHECKING:
    from lab.layout import Host, Lab

_POLL_SECONDS = 0.2
# A host that asks for a power cut goes no further meanwhile.
_POWER_POLL_SECONDS = 0.05
# What `boot` returns for a host that lost its power.
POWER_CUT = -1


@dataclass(frozen=True, kw_only=True)
class BootSettings:
    """What to boot; written by `up`, read before each boot."""

    base: str
    chips: int
    mindspore: str | None
    group: str
    # Disk layers over the base, the uppermost first: folders of the cache.
    layers: tuple[str, ...] = ()

    @classmethod
    def read(cls, path: Path) -> BootSettings:
        """Read them from a host's folder."""
        document = json.loads(path.read_text())
        return cls(**{**document, "layers": tuple(document.get("layers", ()))})


def boot_fault(faults: Path, name: str) -> Any:
    """Return the value of a fault, None when it is not injected."""
    try:
        return json.loads(faults.read_text()).get(name)
    except FileNotFoundError:
        return None


def delay_seconds(value: Any, default: float = 60.0) -> float:
    """Return how long `slow_boot` holds a boot back; `true` means the default."""
    if value is None or value is False:
        return 0.0
    return default if value is True else float(value)


def wait_for_power(host: Host) -> None:
    """Return when the host may boot: not while `no_boot` is injected, and `slow_boot` seconds later."""
    if boot_fault(host.faults, "no_boot"):
        record(host, "no_boot")
        while boot_fault(host.faults, "no_boot"):
            time.sleep(_POLL_SECONDS)
    if seconds := delay_seconds(boot_fault(host.faults, "slow_boot")):
        record(host, "slow_boot", seconds=seconds)
        time.sleep(seconds)


def record(host: Host, event: str, **details: float) -> None:
    """Append to the host's events."""
    line = json.dumps({"time": round(time.time(), 2), "event": event, **details})
    with host.events.open("a") as file:
        file.write(f"{line}\n")


def boot(lab: Lab, host: Host, settings: BootSettings) -> int:
    """Boot the host once; return systemd-nspawn's exit code when it is off again."""
    pci.write(host.hardware / "bus/pci/devices", settings.chips, host.hardware)
    network.plug(lab, [host], on=True)
    record(host, "boot")
    command = nspawn.argv(host, mindspore=Path(settings.mindspore) if settings.mindspore else None)
    with host.console.open("ab") as console:
        machine = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=console,
            stderr=subprocess.STDOUT,
            env={**os.environ, **nspawn.ENVIRONMENT},
            preexec_fn=lambda: Group(path=settings.group).enter("machine"),  # noqa: PLW1509 - this process has one thread
        )
    code = wait(host, machine, Group(path=f"{settings.group}/machine"))
    record(host, "off", code=code)
    network.plug(lab, [host], on=False)
    return code


def wait(host: Host, machine: subprocess.Popen[bytes], group: Group) -> int:
    """Wait until the host is off and return its exit code; POWER_CUT when its hardware asked for a cut.

    What the host had written stays on its disk: these are the machine's own files, so nothing of its cache is lost.
    """
    while True:
        try:
            return machine.wait(_POWER_POLL_SECONDS)
        except subprocess.TimeoutExpired:
            if host.power_cut.exists():
                group.kill()
                machine.wait()
                host.power_cut.unlink()
                return POWER_CUT


def disk_options(host: Host, settings: BootSettings) -> str:
    """Return the mount options of base image, the layers of the host's state and the host's own layer as one disk."""
    layers = [Path(path) for path in settings.layers]
    return overlay.options(Path(settings.base), layers, host.upper, host.folder / "work")


def main(name: str, index: str) -> int:
    """Serve one host until it is switched off."""
    lab = find_lab(name)
    host = lab.host(int(index))
    settings = BootSettings.read(host.boot_settings)
    Group(path=settings.group).enter("supervisor")
    run(["mount", "-t", "overlay", "overlay", "-o", disk_options(host, settings), host.root])
    own = identify(os.getpid())
    if own is not None:
        own.write(host.supervisor)
    host.power_cut.unlink(missing_ok=True)
    while True:
        wait_for_power(host)
        settings = BootSettings.read(host.boot_settings)
        code = boot(lab, host, settings)
        if code not in (nspawn.REBOOT, POWER_CUT):
            return code


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
