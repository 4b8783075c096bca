# SPDX-License-Identifier: Apache-2.0
"""Network namespaces: a hub with a bridge and no way out, and one namespace for each host."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

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
        run(["ip", "netns", "add", lab.netns])
    if BRIDGE not in _links(lab.netns):
        run(["ip", "-n", lab.netns, "link", "add", BRIDGE, "type", "bridge"])
        made = True
    _batch(lab.netns, hub_commands())
    return made


def make_host(lab: Lab, host: Host) -> None:
    """Make a stopped host's namespace and cable anew, whatever was left of them."""
    delete(host.netns)
    _unplug_for_good(lab, host)
    run(["ip", "netns", "add", host.netns])
    connect(lab, host)


def connect(lab: Lab, host: Host) -> bool:
    """Give a host its cable if it has none; return whether it had none."""
    if host.name in _links(lab.netns):
        return False
    _batch(lab.netns, host_commands(host))
    _batch(
        host.netns,
        [
            "link set lo up",
            f"addr replace {host.address}/{NETMASK_BITS} dev eth0",
            "link set eth0 up",
        ],
    )
    return True


def plug(lab: Lab, host: Host, *, on: bool) -> None:
    """Plug a host's cable in or out, as its network card does with its power; one that is pulled out stays out."""
    state = "up" if on and not host.unplugged.exists() else "down"
    run(["ip", "-n", lab.netns, "link", "set", host.name, state])


def pull_out(lab: Lab, host: Host) -> None:
    """Pull a host's cable out; neither reboots nor power cuts put it back."""
    host.unplugged.touch()
    plug(lab, host, on=False)


def put_back(lab: Lab, host: Host) -> None:
    """Put a host's cable back; it carries nothing while the host is off."""
    host.unplugged.unlink(missing_ok=True)
    plug(lab, host, on=True)


def delete(netns: str) -> None:
    """Delete a namespace and all in it; nothing when it is not there."""
    if exists(netns):
        run(["ip", "netns", "delete", netns])


def _unplug_for_good(lab: Lab, host: Host) -> None:
    """Remove the hub's end of a cable. The kernel may be doing so at this moment: the other end's namespace is gone."""
    deadline = time.monotonic() + _KERNEL_SECONDS
    argv = ["ip", "-n", lab.netns, "link", "delete", host.name]
    while host.name in _links(lab.netns):
        failed = subprocess.run(argv, capture_output=True, text=True, check=False).returncode
        if failed and time.monotonic() > deadline:
            raise LabError(f"{host.name} in {lab.netns} cannot be deleted: `ip -n {lab.netns} link`")


def _batch(netns: str, commands: list[str]) -> None:
    run(["ip", "-n", netns, "-batch", "-"], stdin="".join(f"{command}\n" for command in commands))


def _links(netns: str) -> set[str]:
    lines = run(["ip", "-n", netns, "-brief", "link"]).splitlines()
    return {line.split()[0].partition("@")[0] for line in lines}
