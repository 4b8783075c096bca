# SPDX-License-Identifier: Apache-2.0
"""Debian root file systems: the hosts' base image and the root of the container image."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from lab.layout import CHECKOUT, SUITE
from lab.process import contained, run

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

# A minimal server as a data centre hands it out: SSH, Python, network tools. No Docker, no compiler, no NPU software.
HOST_PACKAGES = (
    "ca-certificates",
    "dbus",
    "iproute2",
    "iputils-ping",
    "less",
    "openssh-server",
    "procps",
    "python3",
    "sudo",
    "systemd",
    "systemd-sysv",
)

# Units that look for a network beyond the lab or for a screen.
MASKED_UNITS = (
    "apt-daily-upgrade.timer",
    "apt-daily.timer",
    "dpkg-db-backup.timer",
    "e2scrub_all.timer",
    "e2scrub_reap.service",
    "fstrim.timer",
    "getty@tty1.service",
    "console-getty.service",
    "systemd-networkd-wait-online.service",
)

# The key exchange that OpenSSH prefers takes 0.1 s of CPU on both sides for each connection.
SSHD_SETTINGS = """\
HostKey /etc/ssh/ssh_host_ed25519_key
PermitRootLogin prohibit-password
PasswordAuthentication no
UseDNS no
MaxStartups 100:30:200
MaxSessions 100
KexAlgorithms -sntrup*
"""

# What every Python of a host loads.
HOST_PYTHON = "lab/host_python"

# Parts of a release that every release has: itself, its updates between point releases, its security updates.
_POCKETS = ("", "updates", "security")

# Beside the base image: where its packages came from, for whoever adds to it.
SOURCES_LIST = "sources.list"

# What neither a host nor a container of the lab reads.
_LEFT_OUT = ("/usr/share/doc/*", "/usr/share/man/*", "/usr/share/locale/*", "/usr/share/info/*")


def mirror_lines(indextargets: str) -> list[str]:
    """Turn `apt-get indextargets` of this machine into sources of the suite, in one-line style.

    Each line of the input is ORIGIN|CODENAME|COMPONENT|URI. A machine with another release of Debian has mirrors that
    have the suite too. One that is not Debian has none: then mmdebstrap's own default applies.
    """
    mirrors = []
    for target in indextargets.splitlines():
        origin, codename, component, uri = target.split("|")
        if origin == "Debian" and component == "main":
            mirrors.append((uri, *codename.partition("-")))
    if any(release == SUITE for _, release, *_ in mirrors):
        mirrors = [mirror for mirror in mirrors if mirror[1] == SUITE]
    lines = [f"deb {uri} {SUITE}{dash}{pocket} main" for uri, _, dash, pocket in mirrors if pocket in _POCKETS]
    return list(dict.fromkeys(lines)) if any(f" {SUITE} " in line for line in lines) else []


def machine_mirrors() -> list[str]:
    """Return the Debian sources that this machine's apt uses."""
    form = "$(ORIGIN)|$(CODENAME)|$(COMPONENT)|$(REPO_URI)"
    return mirror_lines(run(["apt-get", "indextargets", "--format", form, "Created-By: Packages"]))


def bootstrap_argv(target: Path, packages: Sequence[str], mirrors: Sequence[str]) -> list[str]:
    """Return the mmdebstrap command that makes a root file system (a folder, or a .tar by its name)."""
    argv = ["mmdebstrap", "--quiet", "--variant=minbase", "--mode=root", '--aptopt=Acquire::Languages "none"']
    argv += [f"--dpkgopt=path-exclude={pattern}" for pattern in _LEFT_OUT]
    argv += [f"--include={','.join(packages)}", SUITE, str(target), *mirrors]
    return argv


def build_base(folder: Path, _needs: dict[str, Path]) -> None:
    """Make the hosts' base image: what is the same on all hosts of all labs."""
    root = folder / "root"
    run(contained(bootstrap_argv(root, HOST_PACKAGES, machine_mirrors())))
    # Every host gets its own before its first boot.
    for key in (root / "etc/ssh").glob("ssh_host_*"):
        key.unlink()
    (root / "etc/machine-id").write_text("")
    (root / "etc/ssh/sshd_config.d/lab.conf").write_text(SSHD_SETTINGS)
    # The hosts' only source is the lab's repository.
    (root / "etc/apt/sources.list").rename(folder / SOURCES_LIST)
    (root / "etc/resolv.conf").unlink(missing_ok=True)
    (root / "etc/resolv.conf").write_text("")
    (root / "etc/fstab").write_text("")
    # Debian's folder for what every Python of the host finds.
    shutil.copytree(
        CHECKOUT / HOST_PYTHON,
        root / "usr/lib/python3/dist-packages",
        ignore=shutil.ignore_patterns("__pycache__"),
        dirs_exist_ok=True,
    )
    (root / "var/cache/zip-bytecode").mkdir()
    # Makes the journal survive reboots: `journalctl --list-boots` then shows them.
    (root / "var/log/journal").mkdir(exist_ok=True)
    for unit in MASKED_UNITS:
        link = root / "etc/systemd/system" / unit
        link.unlink(missing_ok=True)
        link.symlink_to("/dev/null")
