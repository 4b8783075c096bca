# SPDX-License-Identifier: Apache-2.0
"""The bus is read by pciutils' own lspci."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest
from bare_server import require

from lab.vendor import faults, hardware, pci

if TYPE_CHECKING:
    from pathlib import Path


def lspci(bus: Path, *options: str) -> list[str]:
    require("lspci")
    argv = ["/usr/bin/lspci", "-A", "linux-sysfs", "-O", f"sysfs.path={bus}", *options]
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout.splitlines()


def test_lspci_shows_eight_accelerators(tmp_path: Path) -> None:
    pci.write(tmp_path / "devices", 8)
    lines = lspci(tmp_path, "-n", "-D")
    assert lines[0] == "0000:01:00.0 1200: 19e5:d802 (rev 20)"
    assert lines[-1] == "0000:c2:00.0 1200: 19e5:d802 (rev 20)"
    assert len(lines) == 8


def test_lspci_shows_the_subsystem_of_an_800t_a2(tmp_path: Path) -> None:
    pci.write(tmp_path / "devices", 1)
    assert any("Subsystem: 19e5:3003" in line for line in lspci(tmp_path, "-n", "-v"))


def test_sysfs_files_agree_with_configuration_space(tmp_path: Path) -> None:
    pci.write(tmp_path, 1)
    device = tmp_path / "0000:c1:00.0"
    config = (device / "config").read_bytes()
    for name, offset in (("vendor", 0), ("device", 2), ("subsystem_vendor", 44), ("subsystem_device", 46)):
        assert int((device / name).read_text(), 16) == int.from_bytes(config[offset : offset + 2], "little")
    assert int((device / "class").read_text(), 16) == int.from_bytes(config[9:12], "little")


@pytest.mark.parametrize(("value", "gone"), [(2, "0000:c2:00.0"), (True, "0000:42:00.0")])
def test_a_chip_that_dropped_out_is_not_on_the_bus_until_it_is_healed(tmp_path: Path, value: object, gone: str) -> None:
    hardware.create(tmp_path / "hw", 8)
    faults.set_fault(tmp_path / "hw", "chip_missing_after_reboot", value)
    pci.write(tmp_path / "devices", 8, tmp_path / "hw")
    assert len(list((tmp_path / "devices").iterdir())) == 7
    assert not (tmp_path / "devices" / gone).exists()
    faults.clear(tmp_path / "hw")
    pci.write(tmp_path / "devices", 8, tmp_path / "hw")
    assert (tmp_path / "devices" / gone).exists()


def test_another_chip_family_has_its_own_device_id(tmp_path: Path) -> None:
    hardware.create(tmp_path / "hw", 2, "910A")
    pci.write(tmp_path / "devices", 2, tmp_path / "hw")
    assert all("19e5:d801" in line for line in lspci(tmp_path, "-n"))
