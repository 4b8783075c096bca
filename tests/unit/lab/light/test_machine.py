# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from lab.layout import find_lab
from lab.light import machine
from lab.supervisor import BootSettings

HOST = find_lab("x", {"LAB_STATE": "/s"}).host(1)
SETTINGS = BootSettings(base="/cache/base", chips=2, mindspore=None, group="g", layers=("/cache/state",))
BUS = Path("/s/x/bus")


def test_a_boot_has_namespaces_of_its_own_that_end_with_the_supervisor() -> None:
    argv = machine.argv(HOST, SETTINGS, BUS, machine_has_pci=True)
    assert argv[:3] == ["setpriv", "--pdeathsig", "KILL"]
    assert "--net=/run/netns/lab-x-node1" in argv
    assert {"--pid", "--mount", "--uts", "--ipc", "--fork", "--kill-child"} < set(argv)


def test_its_disk_is_that_of_its_state() -> None:
    argv = machine.argv(HOST, SETTINGS, BUS, machine_has_pci=True)
    (options,) = [word for word in argv if word.startswith("lowerdir=")]
    assert options.startswith("lowerdir=/cache/state/upper:/cache/base/root,upperdir=/s/x/hosts/node1/upper,")


def binds(argv: list[str]) -> list[tuple[str, ...]]:
    """What the kernel binds into the disk: source, target, mode."""
    words = argv[argv.index(str(machine.KERNEL)) + 3 :]
    return [tuple(words[index : index + 3]) for index in range(0, len(words), 3)]


@pytest.mark.parametrize(
    ("machine_has_pci", "source", "target"),
    [(True, "/s/x/bus/pci/devices", "/sys/bus/pci/devices"), (False, "/s/x/bus", "/sys/bus")],
)
def test_chips_are_where_this_machine_lets_them_be(machine_has_pci: bool, source: str, target: str) -> None:
    found = binds(machine.argv(HOST, SETTINGS, BUS, machine_has_pci=machine_has_pci))
    assert found == [
        ("/s/x/hosts/node1/hardware", "/var/lib/hardware", "rw"),
        (source, target, "ro"),
        ("/s/x/storage", "/mnt/shared", "rw"),
    ]


def test_hosts_cannot_write_the_mindspore_environment() -> None:
    settings = BootSettings(base="/cache/base", chips=2, mindspore="/cache/mindspore", group="g")
    argv = machine.argv(HOST, settings, BUS, machine_has_pci=True)
    assert ("/cache/mindspore", "/opt/mindspore-env", "ro") in binds(argv)


def test_the_first_process_is_the_child_of_the_command() -> None:
    with subprocess.Popen(["sh", "-c", "sleep 60 & wait"]) as parent:
        while (child := machine.first_process(parent.pid)) is None:
            pass
        # Beside the kernel's list of children: proc_pid_stat(5), the parent is the second field after the name.
        assert Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()[1] == str(parent.pid)
        os.kill(child, 9)
        parent.kill()
    assert machine.first_process(parent.pid) is None
