# SPDX-License-Identifier: Apache-2.0
"""Kernels on a host's disk: the one that runs, and others that an OS update would bring.

They are packages as Debian has them, `linux-image-X` and `linux-headers-X`, whose hooks in /etc/kernel run. Nothing
boots them: whatever is installed, `uname -r` in a host stays the machine's.
"""

from __future__ import annotations

import platform
import re
import shlex
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from lab import kernel_headers, ssh
from lab.errors import LabError
from lab.host_files import File
from lab.process import run

if TYPE_CHECKING:
    from lab.layout import Host, Lab

# A Debian package's name: the package is called after the release.
_RELEASE = re.compile(r"\d+\.\d+[a-z0-9.+~-]*")
_VERSION = "1"

# The boot loader's menu has the newest kernel first and boots the first, as Debian sets it up.
UPDATE_GRUB = """\
#!/bin/sh
# Stand-in: writes the menu of a server that boots its newest kernel. No boot loader reads it.
set -eu
mkdir -p /boot/grub
{
  echo 'set default="0"'
  for image in $(ls /boot/vmlinuz-* | sort --version-sort --reverse); do
    release=${image#/boot/vmlinuz-}
    echo "menuentry 'Debian GNU/Linux, with Linux $release' --class debian --class gnu-linux {"
    echo "  linux $image root=/dev/vda1 ro quiet"
    echo "  initrd /boot/initrd.img-$release"
    echo '}'
  done
} >/boot/grub/grub.cfg.new
mv /boot/grub/grub.cfg.new /boot/grub/grub.cfg
"""

_HOOKS = """\
#!/bin/sh
set -e
if [ -d /etc/kernel/{hooks} ]; then
  run-parts --report --exit-on-error --arg={release} --arg=/boot/vmlinuz-{release} /etc/kernel/{hooks}
fi
update-grub
"""


def running(release: str) -> dict[str, File]:
    """Return what a host has on its disk of the kernel that runs, and its boot loader's menu."""
    menu = f"menuentry 'Debian GNU/Linux, with Linux {release}' --class debian --class gnu-linux {{\n"
    menu += f"  linux /boot/vmlinuz-{release} root=/dev/vda1 ro quiet\n  initrd /boot/initrd.img-{release}\n}}\n"
    return {
        **{path: File(text=text) for path, text in image_tree(release).items()},
        "boot/grub/grub.cfg": File(text=f'set default="0"\n{menu}'),
        "etc/default/grub": File(text="GRUB_DEFAULT=0\nGRUB_TIMEOUT=5\n"),
        "usr/sbin/update-grub": File(text=UPDATE_GRUB, mode=0o755),
    }


def image_tree(release: str) -> dict[str, str]:
    """Return the files of a kernel's image, path -> text; none of them can be booted or loaded."""
    return {
        f"boot/vmlinuz-{release}": f"stand-in for the kernel {release}\n",
        f"boot/initrd.img-{release}": f"stand-in for the initramfs of {release}\n",
        f"boot/config-{release}": "CONFIG_MODULES=y\n",
        f"usr/lib/modules/{release}/modules.builtin": "",
        f"usr/lib/modules/{release}/modules.order": "",
    }


def add(lab: Lab, host: Host, release: str, *, headers: bool) -> None:
    """Install a kernel, with or without its headers, as an update of the operating system does."""
    _check(release)
    architecture = _on(lab, host, "dpkg --print-architecture").strip()
    with tempfile.TemporaryDirectory(prefix="kernel-") as temporary:
        folder = Path(temporary)
        packages = [_image_package(folder, release, architecture)]
        if headers:
            (folder / "headers").mkdir()
            kernel_headers.build(folder, folder / "headers", release=release, architecture=architecture)
            packages.append(folder / f"linux-headers-{release}_1_{architecture}.deb")
        for package in packages:
            name = f"/root/{package.name}"
            script = f"cat >{name} && dpkg --install {name} >&2; code=$?; rm -f {name}; exit $code"
            _on(lab, host, script, stdin=package.read_bytes())


def remove(lab: Lab, host: Host, release: str) -> None:
    """Remove a kernel that `add` installed, with its headers."""
    _check(release)
    found = _on(lab, host, f"dpkg-query --show --showformat='${{Package}}\\n' 'linux-*-{release}' 2>/dev/null; true")
    names = [name for name in found.split() if name.startswith(("linux-image-", "linux-headers-"))]
    if not names:
        raise LabError(f"{host.name} has no kernel {release}: `lab shell {host.name} -- ls /boot` shows those it has")
    _on(lab, host, f"dpkg --purge {' '.join(names)} >&2 && update-grub")


def _check(release: str) -> None:
    if not _RELEASE.fullmatch(release):
        raise LabError(f"kernel {release!r}: a release as in a Debian package's name is needed, such as 6.1.0-99-amd64")
    if release == platform.release():
        raise LabError(f"kernel {release} is the one that runs: it is neither added nor removed")


def _image_package(folder: Path, release: str, architecture: str) -> Path:
    work = folder / "image"
    for name, text in image_tree(release).items():
        path = work / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    control = work / "DEBIAN"
    control.mkdir()
    (control / "control").write_text(
        f"Package: linux-image-{release}\nVersion: {_VERSION}\nArchitecture: {architecture}\n"
        "Maintainer: telechat-ascend lab\nSection: kernel\nPriority: optional\n"
        f"Description: stand-in for the kernel {release}\n Nothing boots it.\n"
    )
    for script, hooks in (("postinst", "postinst.d"), ("postrm", "postrm.d")):
        (control / script).write_text(_HOOKS.format(hooks=hooks, release=release))
        (control / script).chmod(0o755)
    package = folder / f"linux-image-{release}_{_VERSION}_{architecture}.deb"
    run(["dpkg-deb", "--build", "--nocheck", "--root-owner-group", work, package])
    return package


def _on(lab: Lab, host: Host, script: str, *, stdin: bytes = b"") -> str:
    """Run a script on a host and return what it printed."""
    done = subprocess.run(ssh.argv(lab, host, ["sh", "-c", script]), input=stdin, capture_output=True, check=False)
    if done.returncode:
        words = (done.stderr + done.stdout).decode(errors="replace").strip().splitlines()[-5:]
        raise LabError(f"{host.name}: {shlex.split(script)[0]} failed ({done.returncode}): {' '.join(words)}")
    return done.stdout.decode(errors="replace")
