# SPDX-License-Identifier: Apache-2.0
"""Preflight's checks of a host: each returns a Problem, or None when the host is fit."""

from __future__ import annotations

import glob
import os
import re
import socket
import sys
from typing import Any, Dict, Iterable, List, Optional, Tuple

from ansible.module_utils.ascend import listeners
from ansible.module_utils.ascend.host import free_bytes, name_error, nearest_folder
from ansible.module_utils.host_problem import Problem
from ansible.module_utils.os_packages import REDHAT, OperatingSystem

_MEBIBYTE = 1024 * 1024


def privileges() -> Optional[Problem]:
    """Check that the look is root's: other users see neither all processes nor all files."""
    if os.geteuid() == 0:
        return None
    return Problem(
        check="privileges",
        value=f"uid {os.geteuid()}",
        rule="the roles install software",
        next_step="set ansible_user: root or ansible_become: true for this host",
    )


def supported_os(system: OperatingSystem, supported: List[str]) -> Optional[Problem]:
    """Check the OS against entries like `ubuntu 22.04`; `debian 12` stands for 12.1, 12.2, … too."""
    for entry in supported:
        name, _, version = entry.lower().partition(" ")
        if name == system.id and (not version or re.match(rf"{re.escape(version)}(\W|$)", system.version.lower())):
            return None
    return Problem(
        check="os",
        value=f"{system.id} {system.version}",
        rule=f"supported are {', '.join(supported)}",
        next_step="install one of these, or add this one to preflight_supported_os when you have tried it",
    )


def supported_architecture(architecture: str, supported: List[str]) -> Optional[Problem]:
    """Check the machine's architecture, as uname -m names it."""
    if architecture in supported:
        return None
    return Problem(
        check="architecture",
        value=architecture,
        rule=f"supported are {', '.join(supported)}",
        next_step="take this host out of the inventory",
    )


def python_version(minimum: str) -> Optional[Problem]:
    """Check the interpreter that Ansible uses on the host."""
    if sys.version_info[:2] >= tuple(int(number) for number in minimum.split(".")):
        return None
    return Problem(
        check="python",
        value=f"{sys.executable} is {sys.version.split()[0]}",
        rule=f"Python {minimum} or newer",
        next_step="use a control side with ansible-core 2.17 for servers with Python 3.7 (preflight_python_minimum"
        " follows it), or name a newer Python in ansible_python_interpreter",
    )


def dnf_for_ansible(family: Optional[str], root: str = "/") -> Optional[Problem]:
    """Check that a Python of the openEuler family's own can import dnf: Ansible installs packages through it."""
    if family != REDHAT or glob.glob(os.path.join(root, "usr/lib*/python3*/*-packages/dnf/__init__.py")):
        return None
    return Problem(
        check="python3_dnf",
        value="no Python of this host has the module dnf",
        rule="Ansible installs packages through it, from whatever interpreter it starts",
        next_step="dnf install python3-dnf on this host, then run again",
    )


def clock(control_time: float, own_time: float, allowed_seconds: float) -> Optional[Problem]:
    """Compare the host's clock with the control side's; the time that passes on the way counts as skew."""
    skew = own_time - control_time
    if abs(skew) <= allowed_seconds:
        return None
    return Problem(
        check="clock",
        value=f"{abs(skew):.0f} s {'ahead of' if skew > 0 else 'behind'} the control side",
        rule=f"at most {allowed_seconds:.0f} s (preflight_clock_skew_seconds)",
        next_step="let chrony or ntpd set the clock of both",
    )


def own_name() -> Optional[Problem]:
    """Check that the host's own name resolves: MindFormers asks for it, and a rank dies when it does not."""
    name = socket.gethostname()
    error = name_error(name)
    if error is None:
        return None
    return Problem(
        check="own_name",
        value=f"{name!r} does not resolve: {error}",
        rule="MindFormers resolves the host's own name at start",
        next_step=f"add a line with this host's address and {name} to its /etc/hosts",
    )


def disk_space(wishes: Iterable[Dict[str, Any]], pending: Iterable[str]) -> List[Problem]:
    """Check the free space that the pending roles need, summed up for each file system.

    A wish is {role, path, free_mib}; a path that does not exist yet counts for its nearest folder that does.
    """
    needed: Dict[int, Tuple[str, int, List[str]]] = {}
    for wish in wishes:
        if wish["role"] in pending:
            folder = nearest_folder(wish["path"])
            device = os.stat(folder).st_dev
            first, total, paths = needed.get(device, (folder, 0, []))
            needed[device] = (first, total + int(wish["free_mib"]), [*paths, f"{wish['path']} ({wish['role']})"])
    return [problem for entry in needed.values() for problem in _too_small(*entry)]


def foreign_listener(port: int, root: str = "/") -> Optional[Problem]:
    """Check that msrun's preferred port is free, or held by a MindSpore job's own scheduler."""
    pids = listeners.on_port(port, root)
    if pids is None or any(b"MS_ROLE=" in _of_process(pid, "environ", root) for pid in pids[:1]):
        return None
    value = f"port {port} is taken"
    if pids:
        name = _of_process(pids[0], "comm", root).decode("utf-8", "replace").strip()
        value += f" by {name or 'a process that has ended'} (pid {pids[0]})"
    return Problem(
        check="master_port",
        value=value,
        rule="msrun's scheduler listens on telechat_master_port of rank 0",
        next_step="end that process, or choose another telechat_master_port",
    )


def _too_small(folder: str, needed: int, paths: List[str]) -> List[Problem]:
    free = free_bytes(folder) // _MEBIBYTE
    if free >= needed:
        return []
    return [
        Problem(
            check="disk_space",
            value=f"{free} MiB free on the file system of {folder}",
            rule=f"{needed} MiB for {', '.join(paths)}",
            next_step="make room, mount a larger file system there, or lower the numbers in preflight_disk_space",
        )
    ]


def _of_process(pid: int, name: str, root: str) -> bytes:
    try:
        with open(os.path.join(root, "proc", str(pid), name), "rb") as stream:
            return stream.read()
    except OSError:
        return b""
