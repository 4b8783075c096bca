# SPDX-License-Identifier: Apache-2.0
"""Switch hosts on and off."""

from __future__ import annotations

import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from lab import network, process, ssh, supervision
from lab.errors import LabError
from lab.host_state import state
from lab.light import power as light
from lab.settings import require
from lab.supervisor import record

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lab.cache import Report
    from lab.layout import Host, Lab

WORKERS = 8
_BOOT_SECONDS = 300.0
_POLL_SECONDS = 0.1


def switch_on(lab: Lab, hosts: Sequence[Host], report: Report) -> bool:
    """Boot every host that is off, all at once, and wait for them; return whether any was.

    Raises LabError for the first host that does not come up.
    """
    if require(lab).light:
        return light.switch_on(lab, hosts, report)
    stop = threading.Event()
    with ThreadPoolExecutor(max_workers=WORKERS) as pool:
        try:
            return any([*pool.map(lambda host: _switch_on(lab, host, report, stop), hosts)])
        except BaseException:
            # Interrupted, or one host failed: nobody goes on waiting for the others.
            stop.set()
            raise


def switch_off(lab: Lab, hosts: Sequence[Host]) -> None:
    """Cut the power of hosts: every process ends at once, `/run` and `/dev` are gone, their disks stay as written."""
    if require(lab).light:
        light.switch_off(lab, hosts)
        return
    with ThreadPoolExecutor(max_workers=WORKERS) as pool:
        list(pool.map(lambda host: _switch_off(lab, host), hosts))


def _switch_off(lab: Lab, host: Host) -> None:
    supervision.end(supervision.of_host(host))
    # One that has never been on has no cable yet.
    if network.exists(host.netns):
        record(host, "off")
        network.plug(lab, [host], on=False)


def _switch_on(lab: Lab, host: Host, report: Report, stop: threading.Event) -> bool:
    now = state(host)
    if now == "held":
        report(f"{host.name}: a fault holds its boot back, not waited for (`lab status` shows it)")
        return False
    if now == "off":
        # A supervisor that was killed leaves its host running, in nobody's hands.
        supervision.end(supervision.of_host(host))
        network.make_hosts(lab, [host])
        supervision.start(supervision.of_host(host))
        changed = True
    else:
        changed = bool(network.connect(lab, [host]))
        if changed:
            network.plug(lab, [host], on=True)
    if host.unplugged.exists():
        report(f"{host.name}: its cable is unplugged, not waited for (`lab link {host.name} up` plugs it in)")
        return changed
    _wait(lab, host, report, stop)
    if changed:
        report(f"{host.name}: up, {host.address}")
    return changed


def _wait(lab: Lab, host: Host, report: Report, stop: threading.Event) -> None:
    """Return when the host has started all its units."""
    deadline = time.monotonic() + _BOOT_SECONDS
    command = process.guarded(ssh.argv(lab, host, ["systemctl", "is-system-running", "--wait"]))
    while not stop.is_set():
        done = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
        answer = done.stdout.strip()
        if answer in ("running", "degraded"):
            if answer == "degraded":
                report(f"{host.name}: up, but a unit failed (`lab shell {host.name} -- systemctl --failed`)")
            return
        if time.monotonic() > deadline or state(host) == "off":
            raise LabError(
                f"{host.name} did not boot within {_BOOT_SECONDS:g} s: {(answer or done.stderr.strip())[-300:]}; "
                f"its console is {host.console}"
            )
        time.sleep(_POLL_SECONDS)
