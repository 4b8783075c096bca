# SPDX-License-Identifier: Apache-2.0
"""Which OS package has a tool that the driver's installer calls, in the apt and in the dnf family. Pure."""

from __future__ import annotations

import re
from typing import Dict, List, NamedTuple, Tuple


class Packages(NamedTuple):
    """The package of a tool where apt installs it, and where dnf does."""

    apt: str
    dnf: str


_SAME = {
    "coreutils": "basename chmod chown dirname expr groups head id ln readlink tail test touch tty wc cksum",
    "e2fsprogs": "chattr lsattr",
    "pciutils": "lspci",
    "net-tools": "ifconfig",
    "kmod": "modinfo modprobe",
    "findutils": "find",
    "sed": "sed",
    "grep": "grep",
    "gawk": "awk",
    "systemd": "systemctl",
    "tar": "tar",
}
PACKAGES: Dict[str, Packages] = {
    **{tool: Packages(package, package) for package, tools in _SAME.items() for tool in tools.split()},
    "which": Packages("debianutils", "which"),
    "update-rc.d": Packages("init-system-helpers", "chkconfig"),
    "chkconfig": Packages("init-system-helpers", "chkconfig"),
    "ldconfig": Packages("libc-bin", "glibc"),
    "udevadm": Packages("udev", "systemd-udev"),
    "useradd": Packages("passwd", "shadow"),
    "rev": Packages("bsdextrautils", "util-linux"),
    "ps": Packages("procps", "procps-ng"),
}


def where_to_get(tools: str) -> str:
    """Return which packages have the tools that an installer lists (`lspci,ifconfig,`), for both families."""
    names = _names(tools)
    known = [PACKAGES[name] for name in names if name in PACKAGES]
    apt, dnf = _joined([package.apt for package in known]), _joined([package.dnf for package in known])
    unknown = [name for name in names if name not in PACKAGES]
    parts = []
    if known:
        parts.append(f"install {apt} (apt)" + f" or {dnf} (dnf)")
    if unknown:
        parts.append("find the package of " + ", ".join(unknown))
    return ", ".join(parts)


def _names(tools: str) -> Tuple[str, ...]:
    # `update-rc.d,chkconfig` is one entry of which one suffices: its package is the same for both names.
    return tuple(dict.fromkeys(name for name in re.split(r"[,\s]+", tools) if name))


def _joined(packages: List[str]) -> str:
    return " ".join(sorted(set(packages)))
