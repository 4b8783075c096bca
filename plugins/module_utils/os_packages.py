# SPDX-License-Identifier: Apache-2.0
"""Which operating system runs, and what its package manager has installed or could install."""

from __future__ import annotations

import glob
import os
import re
from dataclasses import dataclass
from typing import List, Optional, Set

from ansible.module_utils.ascend.version_info import parse_key_values
from ansible.module_utils.command_result import Run

DEBIAN = "Debian"
REDHAT = "RedHat"

KERNEL = "{kernel}"

# Both families have a UOS, and only its package manager tells which this is.
_EITHER = "uos"

_FAMILIES = {
    DEBIAN: ("debian", "ubuntu", "linuxmint"),
    REDHAT: (
        "openeuler",
        "kylin",
        "euleros",
        "hce",
        "ctyunos",
        "bclinux",
        "anolis",
        "rhel",
        "centos",
        "fedora",
        "rocky",
        "almalinux",
    ),
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
    """Return whether the package manager could install the package; None when its lists were never fetched."""
    absent = not_installable(run, family, [name], root)
    return None if absent is None else not absent


def not_installable(run: Run, family: Optional[str], names: List[str], root: str = "/") -> Optional[List[str]]:
    """Return those of the names that no repository has; None when the package manager's lists were never fetched."""
    if not names:
        return []
    if family == DEBIAN and glob.glob(os.path.join(root, "var/lib/apt/lists/*Packages*")):
        offered = _with_candidate(run(["apt-cache", "policy", *names]).stdout)
        return [name for name in names if name not in offered]
    # Without any cache dnf calls the package unknown, too.
    if family == REDHAT and glob.glob(os.path.join(root, "var/cache/dnf/*/repodata/repomd.xml")):
        return _no_repository_of_dnf_has(run, names)
    return None


def _with_candidate(policy: str) -> Set[str]:
    """Return the packages that `apt-cache policy` knows a version to install of."""
    offered, name = set(), ""
    for line in policy.splitlines():
        if not line.startswith(" "):
            name = line.rstrip(":")
        elif line.strip().startswith("Candidate: ") and not line.endswith(" (none)"):
            offered.add(name)
    return offered


def _no_repository_of_dnf_has(run: Run, names: List[str]) -> Optional[List[str]]:
    query = ["dnf", "--quiet", "--cacheonly", "repoquery"]
    answer = run([*query, "--queryformat", "%{name} %{name}-%{version}-%{release}.%{arch}", *names])
    if answer.rc != 0:
        return None
    offered = set(answer.stdout.split())
    return [
        name
        for name in names
        # Another package may provide it: one process for each of the few that are left.
        if name not in offered and not run([*query, "--whatprovides", name]).stdout.strip()
    ]
