# SPDX-License-Identifier: Apache-2.0
"""Packages are built once; each test has a server of its own."""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[4] / "lab" / "vendor" / "payload"))

from server import Server, require

from lab.vendor import packages
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


@pytest.fixture(scope="session")
def runs(zips: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with all .run files, executable."""
    folder = tmp_path_factory.mktemp("runs")
    for path in zips.glob("*.zip"):
        with zipfile.ZipFile(path) as archive:
            archive.extractall(folder)
    for path in folder.iterdir():
        path.chmod(0o755)
    return folder


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A server that has just been booted, without any NPU software."""
    require("lspci")
    one = Server(tmp_path)
    yield one
    one.stop()
