# SPDX-License-Identifier: Apache-2.0
"""Start and end a host's supervisor: a process of our own, or a unit where systemd owns the control groups."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from lab import process
from lab.cgroup import Group
from lab.errors import LabError
from lab.layout import CHECKOUT

if TYPE_CHECKING:
    from lab.layout import Host

SYSTEMD = Path("/run/systemd/system")
_START_SECONDS = 20.0


def has_systemd() -> bool:
    """Tell whether systemd is this machine's first process (sd_booted(3))."""
    return SYSTEMD.is_dir()


def unit(host: Host) -> str:
    """Return the name of the host's unit."""
    return f"{host.netns}.service"


def group_path(host: Host) -> str:
    """Return the path of the host's control group."""
    return f"system.slice/{unit(host)}" if has_systemd() else f"lab-{host.lab}/{host.name}"


def argv(host: Host, *, systemd: bool) -> list[str]:
    """Return the command that starts the supervisor."""
    # Slave: namespaces deleted on the machine vanish in here as well; what is mounted in here stays in here.
    command = ["unshare", "--mount", "--propagation", "slave", sys.executable, "-m", "lab.supervisor"]
    command += [host.lab, str(host.index)]
    if not systemd:
        return command
    run = ["systemd-run", "--quiet", "--collect", f"--unit={unit(host)}", "--property=Delegate=yes"]
    run += [f"--working-directory={CHECKOUT}", f"--setenv=LAB_STATE={host.folder.parent.parent.parent}"]
    return [*run, "--", *command]


def start(host: Host) -> None:
    """Start the supervisor and return when it has said who it is.

    Raises LabError with the end of its log when it does not.
    """
    host.supervisor.unlink(missing_ok=True)
    log = host.folder / "supervisor.log"
    with log.open("ab") as output:
        child = subprocess.Popen(
            argv(host, systemd=has_systemd()),
            cwd=CHECKOUT,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env={**os.environ, "LAB_STATE": str(host.folder.parent.parent.parent)},
        )
    deadline = time.monotonic() + _START_SECONDS
    while not process.alive(host.supervisor):
        failed = child.poll() not in (None, 0)
        if failed or time.monotonic() > deadline:
            tail = "\n".join(log.read_text(errors="replace").splitlines()[-10:])
            raise LabError(f"{host.name}: its supervisor did not start; {log} ends with:\n{tail}")
        time.sleep(0.05)


def end(host: Host) -> None:
    """Cut a host's power: kill its supervisor and every process in it, hanging or not."""
    process.kill(host.supervisor)
    if has_systemd():
        subprocess.run(["systemctl", "kill", "--signal=KILL", unit(host)], check=False, capture_output=True)
        subprocess.run(["systemctl", "stop", unit(host)], check=False, capture_output=True)
    group = Group(path=group_path(host))
    group.kill()
    group.remove()
