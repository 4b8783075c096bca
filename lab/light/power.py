# SPDX-License-Identifier: Apache-2.0
"""Switch light hosts on and off: their supervisor obeys a file in each host's folder."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from lab import network, process, supervision
from lab.errors import LabError
from lab.host_state import state

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lab.cache import Report
    from lab.layout import Host, Lab

_BOOT_SECONDS = 120.0
_POLL_SECONDS = 0.1


def switch_on(lab: Lab, hosts: Sequence[Host], report: Report) -> bool:
    """Boot every host that is off, all at once, and wait for them; return whether any was.

    Raises LabError for the first host that does not come up.
    """
    if not process.alive(lab.supervisor):
        _start_supervisor(lab)
    off = [host for host in hosts if state(host) == "off"]
    network.make_hosts(lab, off)
    for host in off:
        # A supervisor that was killed took no note of its hosts' end.
        host.os_boot.unlink(missing_ok=True)
        host.powered.touch()
    connected = network.connect(lab, hosts)
    network.plug(lab, connected, on=True)
    booted = _wait(lab, hosts, report)
    names = [host.name for host in hosts if host in booted and (host in off or host in connected)]
    if names:
        report(f"up: {', '.join(names)}")
    return bool(off or connected)


def switch_off(lab: Lab, hosts: Sequence[Host]) -> None:
    """Cut the power of hosts: every process ends at once, `/run` and `/dev` are gone, their disks stay as written."""
    for host in hosts:
        host.powered.unlink(missing_ok=True)
    if not process.alive(lab.supervisor):
        # Its hosts end with it; this waits for them.
        supervision.end(supervision.of_light_hosts(lab))
    deadline = time.monotonic() + _BOOT_SECONDS
    while left := [host.name for host in hosts if process.alive(host.supervisor)]:
        if time.monotonic() > deadline:
            raise LabError(f"{', '.join(left)}: a process survives SIGKILL: look at /proc/PID/stack, then try again")
        time.sleep(_POLL_SECONDS)


def _start_supervisor(lab: Lab) -> None:
    """Start the supervisor of all hosts; none has power yet."""
    supervisor = supervision.of_light_hosts(lab)
    supervision.end(supervisor)
    for path in (lab.state / "hosts").glob("node*/powered"):
        path.unlink()
    supervision.start(supervisor)


def _wait(lab: Lab, hosts: Sequence[Host], report: Report) -> list[Host]:
    """Return the hosts that have started their services, when all have that no fault holds back."""
    waiting, booted = list(hosts), []
    # Hosts that boot at once share this machine's processors.
    deadline = time.monotonic() + _BOOT_SECONDS + len(hosts)
    while True:
        for host in [*waiting]:
            told = _told(host)
            if not told and state(host) != "held":
                continue
            waiting.remove(host)
            if not told:
                report(f"{host.name}: a fault holds its boot back, not waited for (`lab status` shows it)")
                continue
            booted.append(host)
            if told == "degraded":
                report(f"{host.name}: up, but a unit failed (`lab shell {host.name} -- systemctl --failed`)")
        if not waiting:
            return booted
        alive = process.alive(lab.supervisor)
        lost = [host for host in waiting if not (alive and host.powered.exists())]
        if lost or time.monotonic() > deadline:
            host = (lost or waiting)[0]
            raise LabError(f"{host.name} did not boot; its console is {host.console}")
        time.sleep(_POLL_SECONDS)


def _told(host: Host) -> str:
    """Return what the host's operating system says of this boot; empty while it says nothing."""
    try:
        return host.os_boot.read_text() if state(host) == "running" else ""
    except FileNotFoundError:
        return ""
