# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

from lab import nspawn
from lab.layout import find_lab

HOST = find_lab("x", {"LAB_STATE": "/s"}).host(0)


def test_a_boot_has_its_own_network_hardware_and_disk_for_docker() -> None:
    argv = nspawn.argv(HOST, mindspore=None)
    assert argv[0] == "systemd-nspawn"
    assert "--boot" in argv
    assert "--network-namespace-path=/run/netns/lab-x-node0" in argv
    assert "--bind=/s/x/hosts/node0/hardware:/var/lib/hardware" in argv
    assert "--bind=/s/x/hosts/node0/docker:/var/lib/docker" in argv
    assert "--bind=/s/x/storage:/mnt/shared" in argv
    assert "--hostname=node0" in argv
    assert not any("mindspore" in word for word in argv)


def test_hosts_cannot_write_the_mindspore_environment() -> None:
    argv = nspawn.argv(HOST, mindspore=Path("/cache/mindspore-1"))
    assert "--bind-ro=/cache/mindspore-1:/opt/mindspore-env" in argv
