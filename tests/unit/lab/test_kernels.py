# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import platform
import subprocess
from pathlib import Path

import pytest

from lab import kernels
from lab.errors import LabError
from lab.layout import find_lab


@pytest.mark.parametrize("release", ["latest", "6.1/../x", "6.1.0-9 amd64", "6.1.0-9-AMD64", ""])
def test_what_cannot_be_a_kernel_is_refused(release: str) -> None:
    lab = find_lab("x", {"LAB_STATE": "/s"})
    with pytest.raises(LabError, match=r"6\.1\.0-99-amd64"):
        kernels.add(lab, lab.host(0), release, headers=True)


def test_the_kernel_that_runs_is_neither_added_nor_removed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "release", lambda: "6.1.0-9-amd64")
    lab = find_lab("x", {"LAB_STATE": "/s"})
    with pytest.raises(LabError, match="is the one that runs"):
        kernels.remove(lab, lab.host(0), "6.1.0-9-amd64")


def test_the_menu_has_the_newest_kernel_first(tmp_path: Path) -> None:
    for release in ("6.1.0-9-amd64", "6.1.0-10-amd64"):
        (tmp_path / f"vmlinuz-{release}").touch()
    script = kernels.UPDATE_GRUB.replace("/boot", str(tmp_path))
    subprocess.run(["sh", "-c", script], check=True)
    menu = (tmp_path / "grub/grub.cfg").read_text()
    assert menu.startswith('set default="0"\n')
    assert menu.index("with Linux 6.1.0-10-amd64") < menu.index("with Linux 6.1.0-9-amd64")


def test_a_host_starts_with_its_running_kernel_in_the_menu() -> None:
    files = kernels.running("6.1.0-9-amd64")
    assert "/boot/vmlinuz-6.1.0-9-amd64" in files["boot/grub/grub.cfg"].text
    assert "boot/vmlinuz-6.1.0-9-amd64" in files
