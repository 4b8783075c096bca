# SPDX-License-Identifier: Apache-2.0
"""Packages are built once; each test has a server of its own."""

from __future__ import annotations

import os
import sys
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[4] / "lab" / "vendor" / "payload"))

from bare_server import Server, require

from lab.vendor import faults, packages
from lab.vendor.releases import RELEASES

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def zips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the zips of all releases, both architectures."""
    require("makeself")
    folder = tmp_path_factory.mktemp("zips")
    packages.build(folder, releases=list(RELEASES))
    return folder


class Packages:
    """The .run files by release."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def driver(self, release: str, arch: str | None = None) -> Path:
        return self._folder / packages.driver_name(release, arch or os.uname().machine.replace("_", "-"))

    def firmware(self, release: str) -> Path:
        return self._folder / packages.firmware_name(RELEASES[release].firmware)


@pytest.fixture(scope="session")
def runs(zips: Path, tmp_path_factory: pytest.TempPathFactory) -> Packages:
    """All .run files, executable."""
    folder = tmp_path_factory.mktemp("runs")
    for path in zips.glob("*.zip"):
        with zipfile.ZipFile(path) as outer, outer.open(path.name) as inner, zipfile.ZipFile(inner) as archive:
            archive.extractall(folder)
    for path in folder.iterdir():
        path.chmod(0o755)
    return Packages(folder)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A server that has just been booted, without any NPU software."""
    require("lspci")
    one = Server(tmp_path)
    yield one
    one.stop()


@pytest.fixture(scope="session")
def old_disks(runs: Packages, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Disks and chips of a server on which HDK 23.0.3 has been installed, driver and firmware, before its reboot."""
    require("lspci")
    one = Server(tmp_path_factory.mktemp("installed"))
    assert one.install(runs.driver("23.0.3"))[0] == 0
    assert one.install(runs.firmware("23.0.3"), "--full")[0] == 0
    disks = tmp_path_factory.mktemp("disks")
    one.save_disks(disks)
    one.stop()
    return disks


@pytest.fixture
def old_server(old_disks: Path, tmp_path: Path) -> Iterator[Server]:
    """A server on which HDK 23.0.3 runs, driver and firmware."""
    one = Server(tmp_path, disks=old_disks)
    yield one
    one.stop()


@pytest.fixture(scope="session")
def lasting_server(old_disks: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One such server for all tests that leave it as it was."""
    one = Server(tmp_path_factory.mktemp("lasting"), disks=old_disks)
    yield one
    one.stop()


@pytest.fixture
def running_server(lasting_server: Server) -> Iterator[Server]:
    """The lasting server: a test may give it faults and an /etc/hccn.conf, both are gone afterwards."""
    yield lasting_server
    faults.clear(lasting_server.hardware)
    lasting_server.path("/etc/hccn.conf").write_text("")
