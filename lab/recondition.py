# SPDX-License-Identifier: Apache-2.0
"""Put hosts into a state: another disk, other firmware in the chips, and what only a running server can be in."""

from __future__ import annotations

import subprocess
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from lab import disk_layers, files, power, provision, ssh
from lab.cache import ensure_all
from lab.errors import LabError
from lab.layout import cache_root
from lab.settings import require
from lab.states import STATES
from lab.supervisor import BootSettings
from lab.vendor import faults, hardware

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lab.cache import Report
    from lab.layout import Host, Lab
    from lab.settings import Settings
    from lab.states import State

_HDK = "/root/hdk"


def recondition(lab: Lab, wanted: Mapping[Host, str], report: Report) -> None:
    """Put each host into its state, all at once; what they had on their disks is gone.

    Raises LabError for an unknown state, and with a script's last words when it does not do what it shall.
    """
    states = {host: find(name) for host, name in wanted.items()}
    settings = require(lab)
    _make_layers(list(states.values()), report)
    hosts = list(states)
    with files.locked(lab.lock):
        power.switch_off(lab, hosts)
        for host, state in states.items():
            _replace_disk(lab, host, state, settings)
        power.switch_on(lab, hosts, lambda _line: None)
        with ThreadPoolExecutor(max_workers=power.WORKERS) as pool:
            list(pool.map(lambda host: _bring_alive(lab, host, states[host]), hosts))
        _reboot(lab, [host for host in hosts if states[host].reboot])
    for host, state in states.items():
        report(f"{host.name}: {state.name} ({state.summary})")


def find(name: str) -> State:
    """Return a state by its name. Raises LabError that lists the names there are."""
    try:
        return STATES[name]
    except KeyError:
        raise LabError(
            f"unknown state {name!r}; `python3 -m lab state --list` describes: {', '.join(STATES)}"
        ) from None


def _make_layers(states: list[State], report: Report) -> None:
    """Make what is missing of the states' disks, side by side."""
    entries = {entry.name: entry for state in states for entry in disk_layers.stack(state.name)[:1]}
    if any(state.live for state in states):
        entries["runfiles"] = disk_layers.run_files()
    ensure_all(cache_root(), list(entries.values()), report)


def _replace_disk(lab: Lab, host: Host, state: State, settings: Settings) -> None:
    layers = [entry.path(cache_root()) for entry in disk_layers.stack(state.name)]
    apt, base = (Path(settings.foundation[name]) for name in ("apt", "base"))
    provision.empty_disk(lab, host, base=base, apt=apt, light=settings.light)
    for path in (host.hardware / faults.FILE, host.power_cut):
        path.unlink(missing_ok=True)
    hardware.create(host.hardware, settings.chips)
    disk_layers.put_chips(host.hardware, layers[0] if layers else None)
    boot = BootSettings.read(host.boot_settings)
    provision.write_boot_settings(host, replace(boot, layers=tuple(str(path) for path in layers)))
    if state.live is not None:
        packages = host.upper / _HDK.lstrip("/")
        packages.mkdir(mode=0o755)
        for path in disk_layers.run_files().path(cache_root()).iterdir():
            (packages / path.name).write_bytes(path.read_bytes())


def _bring_alive(lab: Lab, host: Host, state: State) -> None:
    if state.live is None:
        return
    for name, value in state.live.faults.items():
        faults.set_fault(host.hardware, name, value)
    script = disk_layers.commands(_HDK) + state.live.script
    command = ssh.argv(lab, host, ["sh", "-c", f"{script}\nrm -r {_HDK}"])
    done = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    faults.clear(host.hardware)
    if done.returncode:
        tail = "\n".join((done.stdout + done.stderr).splitlines()[-10:])
        raise LabError(f"{host.name} did not come into the state {state.name} ({done.returncode}):\n{tail}")


def _reboot(lab: Lab, hosts: list[Host]) -> None:
    """Boot hosts once more: their disks are files of this machine, so that a power cut is as good."""
    if hosts:
        power.switch_off(lab, hosts)
        power.switch_on(lab, hosts, lambda _line: None)
