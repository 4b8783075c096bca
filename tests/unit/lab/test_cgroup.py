# SPDX-License-Identifier: Apache-2.0
"""The layouts of control groups, on plain folders in their shape."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from lab.cgroup import Group, hierarchies


def version_1(root: Path) -> Path:
    for name in ("memory", "cpuset", "systemd"):
        (root / name).mkdir()
        (root / name / "cgroup.procs").write_text("1\n")
    for name in ("cpuset.cpus", "cpuset.mems"):
        (root / "cpuset" / name).write_text("0-1\n")
    # As on a machine where cpu and cpuacct are one hierarchy with two names.
    (root / "alias").symlink_to(root / "memory")
    return root


def version_2(root: Path) -> Path:
    (root / "cgroup.procs").write_text("1\n")
    (root / "cgroup.controllers").write_text("cpu memory\n")
    (root / "cgroup.subtree_control").write_text("")
    return root


def test_version_1_has_a_group_in_every_hierarchy_and_in_none_twice(tmp_path: Path) -> None:
    version_1(tmp_path)
    assert [path.name for path in hierarchies(tmp_path)] == ["cpuset", "memory", "systemd"]
    Group(path="lab-x/node0", root=tmp_path).enter("supervisor")
    for name in ("cpuset", "memory", "systemd"):
        written = tmp_path / name / "lab-x/node0/supervisor/cgroup.procs"
        assert written.read_text() == str(os.getpid())


def test_version_2_has_one(tmp_path: Path) -> None:
    version_2(tmp_path)
    assert hierarchies(tmp_path) == [tmp_path]
    Group(path="lab-x", root=tmp_path).enter("supervisor")
    assert (tmp_path / "lab-x/supervisor/cgroup.procs").read_text() == str(os.getpid())
    assert (tmp_path / "cgroup.subtree_control").read_text() == "+cpu +memory"


def test_members_are_those_of_all_groups_below(tmp_path: Path) -> None:
    version_1(tmp_path)
    deep = tmp_path / "memory/lab-x/node0/machine/docker/abc"
    deep.mkdir(parents=True)
    (deep / "cgroup.procs").write_text("17\n18\n")
    other = tmp_path / "systemd/lab-x/node0"
    other.mkdir(parents=True)
    (other / "cgroup.procs").write_text("0\n19\n")
    neighbour = tmp_path / "memory/lab-xy"
    neighbour.mkdir()
    (neighbour / "cgroup.procs").write_text("20\n")
    assert Group(path="lab-x", root=tmp_path).members() == {17, 18, 19}


def test_all_members_stand_still_before_the_first_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that none sees another one's end, as when power is cut."""
    group = Group(path="lab", root=version_2(tmp_path))
    (tmp_path / "lab").mkdir()
    procs = tmp_path / "lab/cgroup.procs"
    procs.write_text("41\n42\n43\n")
    sent: list[tuple[int, int]] = []

    def kill(pid: int, number: int) -> None:
        sent.append((pid, number))
        if number == signal.SIGKILL:
            procs.write_text("".join(f"{line}\n" for line in procs.read_text().split() if line != str(pid)))

    monkeypatch.setattr(os, "kill", kill)
    group.kill()
    assert [number for _, number in sent] == [signal.SIGSTOP] * 3 + [signal.SIGKILL] * 3


def test_a_group_that_never_was_is_removed_without_complaint(tmp_path: Path) -> None:
    version_1(tmp_path)
    group = Group(path="lab-x", root=tmp_path)
    group.kill()
    group.remove()
    assert group.members() == set()


def test_removal_goes_from_the_inside_out(tmp_path: Path) -> None:
    version_1(tmp_path)
    for name in ("memory", "systemd"):
        (tmp_path / name / "lab-x/node0/machine").mkdir(parents=True)
    Group(path="lab-x", root=tmp_path).remove()
    assert not list(tmp_path.rglob("lab-x"))
    assert (tmp_path / "memory/cgroup.procs").exists()
