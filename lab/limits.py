# SPDX-License-Identifier: Apache-2.0
"""Limits of the machine's kernel that a fleet of systemds runs into."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from lab.errors import LabError

if TYPE_CHECKING:
    from lab.cache import Report

# inotify(7); all hosts' root is the machine's root, so they share its allowance. A kernel's own is 128.
INOTIFY_INSTANCES = Path("/proc/sys/fs/inotify/max_user_instances")
# A host with Docker has about 8, and another lab may be up.
_INSTANCES_PER_HOST = 16
_INSTANCES_OF_THE_MACHINE = 512


def make_room(hosts: int, report: Report, path: Path = INOTIFY_INSTANCES) -> None:
    """Raise the number of inotify instances to what this many hosts need; it stays so until the machine boots.

    A host that gets none starts without a word or not at all. Raises LabError where it may not be raised.
    """
    needed = _INSTANCES_OF_THE_MACHINE + _INSTANCES_PER_HOST * hosts
    allowed = int(path.read_text())
    if allowed >= needed:
        return
    try:
        path.write_text(f"{needed}\n")
    except OSError as error:
        name = ".".join(path.parts[-3:])
        raise LabError(f"{name} is {allowed}, {hosts} hosts need {needed}: `sysctl {name}={needed}`") from error
    report(f"fs.inotify.max_user_instances: {allowed} -> {needed}, until this machine boots")
