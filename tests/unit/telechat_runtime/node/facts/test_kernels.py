# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import platform
from pathlib import Path

import pytest

from telechat_runtime.node.facts import kernels


@pytest.fixture(autouse=True)
def _running(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "release", lambda: "5.10.0-9-amd64")


def put(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()


def test_where_no_kernel_is_installed_nothing_is_said(tmp_path: Path) -> None:
    assert kernels.look(str(tmp_path)) is None
    put(tmp_path / "boot" / "config-5.10.0-9-amd64")
    assert kernels.look(str(tmp_path)) is None


def test_kernels_in_their_order_and_those_with_a_module(tmp_path: Path) -> None:
    for name in (
        "vmlinuz-5.10.0-9-amd64",
        "vmlinuz-5.10.0-28-amd64",
        "vmlinuz-5.10.0-28-amd64.old",
        "vmlinuz-0-rescue",
    ):
        put(tmp_path / "boot" / name)
    put(tmp_path / "boot" / "vmlinux-6.8.0-45.el9")
    put(tmp_path / "lib/modules/5.10.0-9-amd64/updates/dkms/drv_pcie_host.ko")
    put(tmp_path / "lib/modules/5.10.0-28-amd64/extra/drv_pcie_host.ko.xz")
    put(tmp_path / "lib/modules/6.8.0-45.el9/updates/drv_pcie_host.ko.old")
    link = tmp_path / "lib/modules/6.8.0-45.el9/weak-updates/drv_pcie_host.ko"
    link.parent.mkdir()
    link.symlink_to(tmp_path / "gone")
    found = kernels.look(str(tmp_path))
    assert found is not None
    assert found["running"] == "5.10.0-9-amd64"
    assert found["installed"] == ["5.10.0-9-amd64", "5.10.0-28-amd64", "6.8.0-45.el9"]
    assert found["with_module"] == ["5.10.0-9-amd64", "5.10.0-28-amd64"]
