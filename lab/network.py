# SPDX-License-Identifier: Apache-2.0
"""Network namespaces: a hub with a bridge and no way out, and one namespace for each host."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from lab import background, process
from lab.errors import LabError
from lab.layout import BRIDGE, HUB_ADDRESS, NETMASK_BITS
from lab.process import run

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lab.layout import Host, Lab

_KERNEL_SECONDS = 10.0
NAMESPACES = Path("/run/netns")


def inside(netns: str, argv: Sequence[str]) -> list[str]:
    """Return the command that runs argv in a network namespace.

    Not `ip netns exec`: that one mounts another /sys, which hides the control groups.
    """
    return ["nsenter", f"--net={NAMESPACES / netns}", "--", *argv]


def hub_commands() -> list[str]:
    """Return `ip -batch` lines that make the hub's network; harmless when repeated."""
    return [
        "link set lo up",
        f"addr replace {HUB_ADDRESS}/{NETMASK_BITS} dev {BRIDGE}",
        f"link set {BRIDGE} up",
    ]


def host_commands(host: Host) -> list[str]:
    """Return `ip -batch` lines for the hub that join a host by a cable, unplugged at first."""
    return [
        f"link add {host.name} type veth peer name eth0 address {host.mac} netns {host.netns}",
        f"link set {host.name} master {BRIDGE}",
    ]


def exists(netns: str) -> bool:
    """Tell whether a network namespace of this name is there."""
    return (NAMESPACES / netns).exists()


def make_hub(lab: Lab) -> bool:
    """Make the hub; return whether anything was missing."""
    made = not exists(lab.netns)
    if made:
        _batch([f"netns add {lab.netns}"])
    if BRIDGE not in _links(lab.netns):
        run(["ip", "-n", lab.netns, "link", "add", BRIDGE, "type", "bridge"])
        made = True
    _batch(hub_commands(), lab.netns)
    return made


def make_hosts(lab: Lab, hosts: Sequence[Host]) -> None:
    """Make stopped hosts' namespaces and cables anew, whatever was left of them."""
    delete([host.netns for host in hosts])
    for host in hosts:
        process.kill(host.poor_link)
    _unplug_for_good(lab, hosts)
    _batch([f"netns add {host.netns}" for host in hosts])
    connect(lab, hosts)


def connect(lab: Lab, hosts: Sequence[Host]) -> list[Host]:
    """Give hosts their cable if they have none; return those that had none."""
    there = _links(lab.netns)
    missing = [host for host in hosts if host.name not in there]
    _batch([line for host in missing for line in host_commands(host)], lab.netns)
    for host in missing:
        address = f"addr replace {host.address}/{NETMASK_BITS} dev eth0"
        _batch(["link set lo up", address, "link set eth0 up"], host.netns)
    return missing


def plug(lab: Lab, hosts: Sequence[Host], *, on: bool) -> None:
    """Plug hosts' cables in or out, as a network card does with its power; one that is pulled out stays out."""
    states = {host: "up" if on and not host.unplugged.exists() else "down" for host in hosts}
    _batch([f"link set {host.name} {state}" for host, state in states.items()], lab.netns)


def pull_out(lab: Lab, host: Host) -> None:
    """Pull a host's cable out; neither reboots nor power cuts put it back."""
    host.unplugged.touch()
    plug(lab, [host], on=False)


def put_back(lab: Lab, host: Host, *, delay: float = 0, loss: float = 0) -> None:
    """Put a host's cable back, a good one or one that delays by milliseconds and loses a percentage, each way.

    It carries nothing while the host is off. Raises LabError for a poor cable that cannot be made.
    """
    _end_poor_cable(lab, host)
    _batch([f"link set {host.name} master {BRIDGE}"], lab.netns)
    if delay or loss:
        _use_poor_cable(lab, host, delay=delay, loss=loss)
    host.unplugged.unlink(missing_ok=True)
    plug(lab, [host], on=True)


def _use_poor_cable(lab: Lab, host: Host, *, delay: float, loss: float) -> None:
    """Let a process carry what goes between the bridge and the host (lab.poor_link)."""
    bridge, near, far = _poor_names(host)
    argv = [sys.executable, "-m", "lab.poor_link", near, far, str(delay), str(loss), str(host.poor_link)]
    background.start(inside(lab.netns, argv), record=host.poor_link, log=host.folder / "poor_link.log")
    lines = [f"link add {bridge} type bridge", f"link set {near} master {bridge}", f"link set {far} master {BRIDGE}"]
    lines += [f"link set {host.name} master {bridge}"]
    _batch([*lines, *(f"link set {name} up" for name in (bridge, near, far))], lab.netns)


def _end_poor_cable(lab: Lab, host: Host) -> None:
    process.kill(host.poor_link)
    bridge = _poor_names(host)[0]
    if bridge in _links(lab.netns):
        _batch([f"link delete {bridge}"], lab.netns)


def _poor_names(host: Host) -> tuple[str, str, str]:
    return f"{host.name}-line", f"{host.name}-near", f"{host.name}-far"


def delete(names: Sequence[str]) -> None:
    """Delete namespaces and all in them; nothing of those that are not there."""
    _batch([f"netns delete {name}" for name in names if exists(name)])


def _unplug_for_good(lab: Lab, hosts: Sequence[Host]) -> None:
    """Remove the hub's ends of cables. The kernel may be doing so already: the other ends' namespaces are gone."""
    deadline = time.monotonic() + _KERNEL_SECONDS
    names = {name for host in hosts for name in (host.name, _poor_names(host)[0])}
    while left := names & _links(lab.netns):
        for name in left:
            subprocess.run(["ip", "-n", lab.netns, "link", "delete", name], capture_output=True, check=False)
        if time.monotonic() > deadline:
            raise LabError(f"{', '.join(sorted(left))} in {lab.netns} cannot be deleted: `ip -n {lab.netns} link`")


def _batch(commands: Sequence[str], netns: str | None = None) -> None:
    """Run commands of ip(8) in one process, in a namespace or for the machine."""
    if commands:
        inside_it = [] if netns is None else ["-n", netns]
        run(["ip", *inside_it, "-batch", "-"], stdin="".join(f"{command}\n" for command in commands))


def _links(netns: str) -> set[str]:
    lines = run(["ip", "-n", netns, "-brief", "link"]).splitlines()
    return {line.split()[0].partition("@")[0] for line in lines}
