# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from pathlib import Path

import pytest

from lab import host_files
from lab.host_files import File
from lab.layout import find_lab

HOST = find_lab("x", {}).host(1)


def test_a_host_knows_its_own_name_and_address_and_keeps_its_key_to_itself() -> None:
    files = host_files.identity(
        HOST, authorized_key="ssh-ed25519 A lab\n", host_key="SECRET", host_key_public="PUBLIC", machine_id="0" * 32
    )
    assert files["etc/hostname"].text == "node1\n"
    assert "10.77.0.12 node1\n" in files["etc/hosts"].text
    assert files["etc/ssh/ssh_host_ed25519_key"] == File(text="SECRET", mode=0o600)
    assert files["root/.ssh/authorized_keys"].mode == 0o600


def test_packages_are_trusted_by_the_key_of_the_repository_only() -> None:
    files = host_files.package_source("KEY")
    source = files["etc/apt/sources.list.d/lab.sources"].text
    assert "URIs: http://10.77.0.1/apt\n" in source
    assert "Signed-By: /etc/apt/keyrings/lab.asc\n" in source
    assert "trusted" not in source.lower()
    assert files["etc/apt/keyrings/lab.asc"].text == "KEY"


@pytest.mark.parametrize(
    ("machine_has_pci", "where", "what", "unit"),
    [
        (True, "/sys/bus/pci/devices", "/var/lib/hardware/bus/pci/devices", "sys-bus-pci-devices.mount"),
        (False, "/sys/bus", "/var/lib/hardware/bus", "sys-bus.mount"),
    ],
)
def test_the_pci_bus_is_mounted_where_this_machine_lets_it(
    machine_has_pci: bool, where: str, what: str, unit: str
) -> None:
    files = host_files.pci_bus(machine_has_pci=machine_has_pci)
    text = files[f"etc/systemd/system/{unit}"].text
    assert f"Where={where}\n" in text
    assert f"What={what}\n" in text
    assert files[f"etc/systemd/system/local-fs.target.wants/{unit}"].link == f"../{unit}"


def test_a_machine_that_needs_no_workaround_gets_none() -> None:
    assert host_files.docker_workarounds(cgroup_v1=False, can_raise_limits=True) == {}


def test_the_runtime_is_replaced_only_where_the_capability_is_missing() -> None:
    there = host_files.docker_workarounds(cgroup_v1=True, can_raise_limits=True)
    assert set(there) == {f"etc/systemd/system/{unit}.service.d/lab.conf" for unit in ("docker", "containerd")}
    missing = host_files.docker_workarounds(cgroup_v1=True, can_raise_limits=False)
    daemon = json.loads(missing["etc/docker/daemon.json"].text)
    runtime = daemon["runtimes"][daemon["default-runtime"]]["path"].removeprefix("/")
    assert missing[runtime].mode == 0o755
    assert missing[runtime].text.startswith("#!/usr/bin/python3")


@pytest.mark.parametrize(
    ("mask", "expected"), [("000001fffeffffff", False), ("000001ffffffffff", True), ("0000000001000000", True)]
)
def test_the_capability_is_read_from_the_bounding_set(mask: str, expected: bool) -> None:
    status = f"CapEff:\t0000000000000000\nCapBnd:\t{mask}\nCapAmb:\t0000000000000000\n"
    assert host_files.machine_can_raise_limits(status) is expected


def test_folders_of_the_base_image_keep_their_mode(tmp_path: Path) -> None:
    upper, lower = tmp_path / "upper", tmp_path / "lower"
    upper.mkdir()
    (lower / "root").mkdir(parents=True, mode=0o700)
    files = {"root/.ssh/authorized_keys": File(text="k", mode=0o600), "etc/new/a": File(text="a")}
    host_files.write(upper, lower, files)
    assert (upper / "root").stat().st_mode & 0o777 == 0o700
    assert (upper / "root/.ssh").stat().st_mode & 0o777 == 0o700
    assert (upper / "root/.ssh/authorized_keys").stat().st_mode & 0o777 == 0o600
    assert (upper / "etc/new").stat().st_mode & 0o777 == 0o755


def test_links_are_written_as_links(tmp_path: Path) -> None:
    (tmp_path / "upper").mkdir()
    host_files.write(tmp_path / "upper", tmp_path / "lower", {"a/b": File(link="../x")})
    assert (tmp_path / "upper/a/b").readlink() == Path("../x")


def test_a_light_host_has_one_program_for_init_and_systemctl(tmp_path: Path) -> None:
    (tmp_path / "upper").mkdir()
    host_files.write(tmp_path / "upper", tmp_path / "lower", host_files.service_manager())
    program = tmp_path / "upper/usr/bin/systemctl"
    assert program.stat().st_mode & 0o777 == 0o755
    assert program.read_text().startswith("#!/usr/bin/python3")
    assert (tmp_path / "upper/usr/sbin/init").resolve() == program
