# SPDX-License-Identifier: Apache-2.0
"""Limits of the machine's kernel that a fleet runs into."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from lab.errors import LabError

if TYPE_CHECKING:
    from lab.cache import Report

SYSCTL = Path("/proc/sys")

# inotify(7); all hosts' root is the machine's root, so they share its allowance. A kernel's own is 128.
_INOTIFY_INSTANCES = "fs.inotify.max_user_instances"
# systemd and Docker have about 8, and another lab may be up. A light host has none of its own.
_INSTANCES_PER_HOST = 16
_INSTANCES_OF_THE_MACHINE = 512

# arp(7); all network namespaces share one table, 1024 entries of a kernel's own, and a job's hosts all know each other.
_NEIGHBOURS = "net.ipv4.neigh.default.gc_thresh3"
_NEIGHBOURS_OF_THE_MACHINE = 512


def needed(hosts: int, *, light: bool) -> dict[str, int]:
    """Return what this many hosts need of each limit."""
    instances = 0 if light else _INSTANCES_PER_HOST * hosts
    return {
        _INOTIFY_INSTANCES: _INSTANCES_OF_THE_MACHINE + instances,
        # Hosts and hub know all others.
        _NEIGHBOURS: _NEIGHBOURS_OF_THE_MACHINE + (hosts + 1) * hosts,
    }


def make_room(hosts: int, report: Report, *, light: bool, sysctl: Path = SYSCTL) -> None:
    """Raise the limits to what this many hosts need; they stay so until the machine boots.

    A host that gets no inotify instance starts without a word or not at all, one that gets no neighbour finds no way.
    Raises LabError where a limit may not be raised.
    """
    for name, number in needed(hosts, light=light).items():
        path = sysctl / name.replace(".", "/")
        allowed = int(path.read_text())
        if allowed >= number:
            continue
        try:
            path.write_text(f"{number}\n")
        except OSError as error:
            raise LabError(f"{name} is {allowed}, {hosts} hosts need {number}: `sysctl {name}={number}`") from error
        report(f"{name}: {allowed} -> {number}, until this machine boots")
