# SPDX-License-Identifier: Apache-2.0
"""What a lab may leave on this machine after `down`: nothing."""

from __future__ import annotations

from pathlib import Path

from lab import network
from lab.cgroup import Group
from lab.layout import Lab

KINDS = ("folders", "namespaces", "mounts", "groups", "processes")
NOTHING: dict[str, list[str]] = {kind: [] for kind in KINDS}


def left_behind(lab: Lab) -> dict[str, list[str]]:
    """Everything on this machine that belongs to a lab; mounts are those that any process sees."""
    mounts, commands = set[str](), []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            mounts |= set((folder / "mountinfo").read_text().splitlines())
            commands.append((folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace"))
        except OSError:
            continue
    return {
        "folders": [str(path) for path in (lab.state, lab.lock) if path.exists()],
        "namespaces": [path.name for path in network.NAMESPACES.glob(f"{lab.netns}*")],
        "mounts": [line for line in mounts if lab.netns in line or f"{lab.state}/" in line],
        "groups": [str(folder) for folder in Group(path=lab.netns).folders() if folder.exists()],
        "processes": [line for line in commands if lab.netns in line or f"{lab.state}/" in line] + supervisors(lab),
    }


def supervisors(lab: Lab) -> list[str]:
    """Command lines of the lab's supervisors, of one host or of all."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().decode(errors="replace").split("\0")[:-1]
        except OSError:
            continue
        if lab.name in words and {"lab.supervisor", "lab.light.supervisor"} & set(words):
            found.append(" ".join(words))
    return found
