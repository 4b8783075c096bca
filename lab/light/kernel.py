# SPDX-License-Identifier: Apache-2.0
"""What a light host's operating system finds when it is started, as a kernel makes it.

Runs by itself as `kernel.py DISK OVERLAY_OPTIONS [SOURCE TARGET rw|ro]...`, the first process of new namespaces: it
mounts the disk, makes `/proc`, `/sys`, `/dev` and `/run`, leaves the machine's files behind and becomes the disk's
`/sbin/init`. All mounts end with the host's last process.
"""

from __future__ import annotations

import ctypes
import os
import stat
import sys
from pathlib import Path

MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REMOUNT, MS_BIND = 1, 2, 4, 8, 32, 4096
MNT_DETACH = 2
SAFE = MS_NOSUID | MS_NODEV | MS_NOEXEC
READ_ONLY_BIND = MS_REMOUNT | MS_BIND | MS_RDONLY

# Character devices of Linux's own list (Documentation/admin-guide/devices.txt).
NODES = {"null": (1, 3), "zero": (1, 5), "full": (1, 7), "random": (1, 8), "urandom": (1, 9), "tty": (5, 0)}
LINKS = {"fd": "/proc/self/fd", "stdin": "fd/0", "stdout": "fd/1", "stderr": "fd/2", "ptmx": "pts/ptmx"}
# Settings of the machine's own kernel, and its trigger for anything: nothing for a host's root.
PROTECTED = ("proc/sys", "proc/sysrq-trigger")
INIT = "/sbin/init"

_TERMINALS = "newinstance,ptmxmode=0666,mode=620,gid=5"
_libc = ctypes.CDLL(None, use_errno=True)


def mount(source: str, target: Path | str, kind: str = "", flags: int = 0, data: str = "") -> None:
    """Call the system call of this name. Raises OSError."""
    words = (source, str(target), kind)
    if _libc.mount(*(os.fsencode(word) for word in words), ctypes.c_ulong(flags), os.fsencode(data)):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), str(target))


def start(disk: Path, options: str, binds: list[str]) -> None:
    """Mount the disk and what is bound into it, and become its init."""
    os.umask(0o022)
    mount("overlay", disk, "overlay", data=options)
    make_kernel_folders(disk)
    for source, inside, mode in zip(binds[::3], binds[1::3], binds[2::3]):
        target = disk / inside.lstrip("/")
        target.mkdir(parents=True, exist_ok=True)
        mount(source, target, flags=MS_BIND)
        if mode == "ro":
            mount("", target, flags=READ_ONLY_BIND)
    leave(disk)
    os.execve(INIT, [INIT], {})  # noqa: S606 - that is its job


def make_kernel_folders(root: Path) -> None:
    """Make `/proc` with an own boot id, `/sys`, `/dev` and `/run`."""
    mount("proc", root / "proc", "proc", SAFE)
    mount("sysfs", root / "sys", "sysfs", SAFE | MS_RDONLY)
    mount("tmpfs", root / "run", "tmpfs", MS_NOSUID | MS_NODEV, "mode=755")
    make_devices(root / "dev")
    boot_id = root / "run/boot_id"
    boot_id.write_text(Path("/proc/sys/kernel/random/uuid").read_text())
    boot_id.chmod(0o444)
    # Not every kernel has every one.
    for path in filter(Path.exists, (root / name for name in PROTECTED)):
        mount(str(path), path, flags=MS_BIND)
        mount("", path, flags=READ_ONLY_BIND)
    shown = root / "proc/sys/kernel/random/boot_id"
    mount(str(boot_id), shown, flags=MS_BIND)
    mount("", shown, flags=READ_ONLY_BIND)
    boot_id.unlink()


def make_devices(dev: Path) -> None:
    """Make the device nodes that are there without any hardware."""
    mount("tmpfs", dev, "tmpfs", MS_NOSUID, "mode=755")
    for name, number in NODES.items():
        os.mknod(dev / name, stat.S_IFCHR | 0o666, os.makedev(*number))
        (dev / name).chmod(0o666)
    for name, target in LINKS.items():
        (dev / name).symlink_to(target)
    for name in ("pts", "shm"):
        (dev / name).mkdir()
    mount("devpts", dev / "pts", "devpts", MS_NOSUID | MS_NOEXEC, _TERMINALS)
    mount("tmpfs", dev / "shm", "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777")


def leave(root: Path) -> None:
    """Make the disk the root, and the machine's files unreachable."""
    os.chdir(root)
    # pivot_root(2): the old root is stacked upon the new one, and taken off there.
    if _libc.pivot_root(b".", b".") or _libc.umount2(b".", MNT_DETACH):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), str(root))
    os.chdir("/")


if __name__ == "__main__":
    start(Path(sys.argv[1]), sys.argv[2], sys.argv[3:])
