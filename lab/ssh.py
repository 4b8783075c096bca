# SPDX-License-Identifier: Apache-2.0
"""SSH into a lab's hosts, with the keys the lab made and no others."""

from __future__ import annotations

import shlex
import subprocess
from typing import TYPE_CHECKING

from lab.network import inside

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lab.layout import Host, Lab


def options(lab: Lab) -> list[str]:
    """Return SSH options that trust the lab's known_hosts only and never ask."""
    return [
        "-F",
        "none",
        "-i",
        str(lab.key),
        "-o",
        "IdentitiesOnly=yes",
        "-o",
        "BatchMode=yes",
        "-o",
        "StrictHostKeyChecking=yes",
        "-o",
        f"UserKnownHostsFile={lab.known_hosts}",
        "-o",
        "GlobalKnownHostsFile=/dev/null",
        "-o",
        "ConnectTimeout=5",
        "-o",
        "ServerAliveInterval=5",
        "-o",
        "LogLevel=ERROR",
    ]


def argv(lab: Lab, host: Host, command: Sequence[str] = ()) -> list[str]:
    """Return the command for a host's shell, or for one command in it."""
    remote = [shlex.join(command)] if command else []
    return inside(lab.netns, ["ssh", *options(lab), f"root@{host.address}", *remote])


def end_connections(lab: Lab) -> None:
    """End the connections that a control side keeps open to the lab's hosts (ControlPersist)."""
    for socket in sorted(lab.connections.glob("*")):
        subprocess.run(
            ["ssh", "-F", "none", "-o", f"ControlPath={socket}", "-O", "exit", "lab"],
            capture_output=True,
            check=False,  # a socket that a dead master left behind has nobody to end
            stdin=subprocess.DEVNULL,
        )


def known_hosts_line(host: Host, public_key: str) -> str:
    """Return a host's line of known_hosts."""
    kind, key = public_key.split()[:2]
    return f"{host.address} {kind} {key}\n"
