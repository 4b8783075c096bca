# SPDX-License-Identifier: Apache-2.0
"""Which operating system runs, and what its package manager has installed or could install."""

from __future__ import annotations

import glob
import os
import re
from dataclasses import dataclass
from typing import List, Optional

from ansible.module_utils.ascend.version_info import parse_key_values
from ansible.module_utils.command_result import Run

DEBIAN = "Debian"
REDHAT = "RedHat"

KERNEL = "{kernel}"

# Both families have a UOS, and only its package manager tells which this is.
_EITHER = "uos"

_FAMILIES = {
    DEBIAN: ("debian", "ubuntu", "linuxmint"),
    REDHAT: ("openeuler", "kylin", "rhel", "centos", "fedora", "rocky", "almalinux", "anolis", "ctyunos", "bclinux"),
}


@dataclass(frozen=True)
class OperatingSystem:
    """ID and VERSION_ID of /etc/os-release and the family whose package manager it has; None when it is neither."""

    id: str
    version: str
    family: Optional[str]


def operating_system(root: str = "/") -> OperatingSystem:
    """Read the host's /etc/os-release."""
    try:
        with open(os.path.join(root, "etc/os-release"), encoding="utf-8") as stream:
            pairs = {key: value.strip("\"'") for key, value in parse_key_values(stream.read()).items()}
    except OSError:
        pairs = {}
    names = [pairs.get("ID", "unknown").lower(), *pairs.get("ID_LIKE", "").lower().split()]
    family = next((family for name in names for family, members in _FAMILIES.items() if name in members), None)
    # Kylin's desktop edition says that it is like Debian, its server edition is openEuler's child.
    if names[0] == "kylin" and "debian" in names:
        family = DEBIAN
    if names[0] == _EITHER:
        family = DEBIAN if os.path.exists(os.path.join(root, "usr/bin/dpkg")) else REDHAT
    return OperatingSystem(id=names[0], version=pairs.get("VERSION_ID", "unknown"), family=family)


def for_kernel(names: List[str], kernel: str) -> List[str]:
    """Put the kernel's release in for {kernel}, as in linux-headers-{kernel}."""
    return [name.replace(KERNEL, kernel) for name in names]


def missing_packages(run: Run, family: Optional[str], names: List[str]) -> List[str]:
    """Return those of the named packages that are not installed, in their order."""
    if not names or family is None:
        return []
    if family == DEBIAN:
        answer = run(["dpkg-query", "-W", "-f", "${Package} ${db:Status-Status}\n", *names])
        installed = {line.split()[0] for line in answer.stdout.splitlines() if line.endswith(" installed")}
        return [name for name in names if name not in installed]
    answer = run(["rpm", "-q", *names])
    absent = set(re.findall(r"^package (\S+) is not installed$", answer.stdout, re.MULTILINE))
    return [name for name in names if name in absent]


def installable(run: Run, family: Optional[str], name: str, root: str = "/") -> Optional[bool]:
    """Tell whether the package manager knows the package; None when its lists were never fetched."""
    if family == DEBIAN:
        if not glob.glob(os.path.join(root, "var/lib/apt/lists/*Packages*")):
            return None
        candidate = re.search(r"Candidate: (\S+)", run(["apt-cache", "policy", name]).stdout)
        return bool(candidate and candidate.group(1) != "(none)")
    if family == REDHAT:
        # Without any cache dnf calls the package unknown, too.
        if not glob.glob(os.path.join(root, "var/cache/dnf/*/repodata/repomd.xml")):
            return None
        answer = run(["dnf", "--quiet", "--cacheonly", "repoquery", name])
        return bool(answer.stdout.strip()) if answer.rc == 0 else None
    return None
