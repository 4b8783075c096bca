# SPDX-License-Identifier: Apache-2.0
"""Start and end supervisors: each is a process of our own, or a unit where systemd owns the control groups."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lab import background, process
from lab.cgroup import Group
from lab.layout import CHECKOUT

if TYPE_CHECKING:
    from lab.layout import Host, Lab

SYSTEMD = Path("/run/systemd/system")


def has_systemd() -> bool:
    """Tell whether systemd is this machine's first process (sd_booted(3))."""
    return SYSTEMD.is_dir()


@dataclass(frozen=True, kw_only=True)
class Supervisor:
    """A supervisor: how it is started, and how it is found again."""

    command: tuple[str, ...]
    # LAB_STATE, as its process needs it.
    state: Path
    # Its identity, written by itself.
    record: Path
    log: Path
    # Its unit where systemd owns the control groups.
    unit: str
    # Path of its control group.
    group: str


def of_host(host: Host) -> Supervisor:
    """Return a host's own supervisor."""
    # Slave: namespaces deleted on the machine vanish in here as well; what is mounted in here stays in here.
    command = ("unshare", "--mount", "--propagation", "slave", sys.executable, "-m", "lab.supervisor")
    unit = f"{host.netns}.service"
    return Supervisor(
        command=(*command, host.lab, str(host.index)),
        state=host.folder.parent.parent.parent,
        record=host.supervisor,
        log=host.folder / "supervisor.log",
        unit=unit,
        group=f"system.slice/{unit}" if has_systemd() else f"lab-{host.lab}/{host.name}",
    )


def of_light_hosts(lab: Lab) -> Supervisor:
    """Return the one supervisor of a lab's light hosts; all their processes are in its control group."""
    unit = f"{lab.netns}-light.service"
    group = f"system.slice/{unit}" if has_systemd() else f"{lab.netns}/light"
    return Supervisor(
        command=(sys.executable, "-m", "lab.light.supervisor", lab.name, group),
        state=lab.state.parent,
        record=lab.supervisor,
        log=lab.state / "supervisor.log",
        unit=unit,
        group=group,
    )


def argv(supervisor: Supervisor, *, systemd: bool) -> list[str]:
    """Return the command that starts the supervisor."""
    if not systemd:
        return [*supervisor.command]
    run = ["systemd-run", "--quiet", "--collect", f"--unit={supervisor.unit}", "--property=Delegate=yes"]
    run += [f"--working-directory={CHECKOUT}", f"--setenv=LAB_STATE={supervisor.state}"]
    return [*run, "--", *supervisor.command]


def start(supervisor: Supervisor) -> None:
    """Start the supervisor and return when it has said who it is.

    Raises LabError with the end of its log when it does not.
    """
    background.start(
        argv(supervisor, systemd=has_systemd()),
        record=supervisor.record,
        log=supervisor.log,
        environment={"LAB_STATE": str(supervisor.state)},
    )


def end(supervisor: Supervisor) -> None:
    """Cut the power: kill the supervisor and every process of its hosts, hanging or not."""
    process.kill(supervisor.record)
    if has_systemd():
        subprocess.run(["systemctl", "kill", "--signal=KILL", supervisor.unit], check=False, capture_output=True)
        subprocess.run(["systemctl", "stop", supervisor.unit], check=False, capture_output=True)
    group = Group(path=supervisor.group)
    group.kill()
    group.remove()
