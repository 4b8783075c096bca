# SPDX-License-Identifier: Apache-2.0
"""Which mounts a host gets; that they work is seen on hosts (tests/lab/test_light_hosts.py)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lab.light import kernel
from lab.light.kernel import MS_BIND, MS_RDONLY, READ_ONLY_BIND


@pytest.fixture
def mounts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, list[int]]:
    """The mounts of a boot: target in the host, flags in their order."""
    disk, found = tmp_path / "disk", dict[str, list[int]]()
    for name in ("proc/sys/kernel/random", "sys", "dev", "run"):
        (disk / name).mkdir(parents=True)
    became: list[Any] = []

    def mount(_source: str, target: Path, _kind: str = "", flags: int = 0, data: str = "") -> None:
        del data
        found.setdefault(str(target.relative_to(disk)), []).append(flags)

    monkeypatch.setattr(kernel, "mount", mount)
    monkeypatch.setattr(kernel, "leave", became.append)
    monkeypatch.setattr(kernel.os, "mknod", lambda path, *_: Path(path).touch())
    monkeypatch.setattr(kernel.os, "execve", lambda *words: became.append(words))
    monkeypatch.setattr(kernel.os, "umask", lambda _: None)
    kernel.start(disk, "lowerdir=/base", ["/hw", "/var/lib/hardware", "rw", "/env", "/opt/env", "ro"])
    assert became == [disk, (kernel.INIT, [kernel.INIT], {})]
    return found


def test_what_is_bound_read_only_cannot_be_written(mounts: dict[str, list[int]]) -> None:
    assert mounts["var/lib/hardware"] == [MS_BIND]
    assert mounts["opt/env"] == [MS_BIND, READ_ONLY_BIND]


def test_a_hosts_root_changes_nothing_of_the_machines_kernel(mounts: dict[str, list[int]]) -> None:
    assert mounts["proc/sys"] == [MS_BIND, READ_ONLY_BIND]
    assert mounts["proc/sys/kernel/random/boot_id"] == [MS_BIND, READ_ONLY_BIND]
    (flags,) = mounts["sys"]
    assert flags & MS_RDONLY


def test_what_a_kernel_does_not_have_is_left_out(mounts: dict[str, list[int]]) -> None:
    assert "proc/sysrq-trigger" not in mounts


def test_every_boot_has_fresh_folders_of_its_own(mounts: dict[str, list[int]]) -> None:
    assert {"", "."} & set(mounts)
    assert {"proc", "dev", "dev/pts", "dev/shm", "run"} < set(mounts)


def test_a_mount_that_fails_says_where(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="no such folder"):
        kernel.mount("none", tmp_path / "no such folder", "tmpfs")
