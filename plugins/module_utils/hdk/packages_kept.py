# SPDX-License-Identifier: Apache-2.0
"""Packages that a server keeps, so that it can go back to what it ran before without its control side's folder."""

from __future__ import annotations

import os
from typing import Dict, Iterable, List, Mapping, Optional, Tuple

from ansible.module_utils import makeself_archive
from ansible.module_utils.ascend.version import alike
from ansible.module_utils.file_digest import file_sha256
from ansible.module_utils.hdk.package_name import DRIVER, FIRMWARE, PackageName, parse_package_name
from ansible.module_utils.hdk.packages_find import PackagesError
from ansible.module_utils.host_problem import Problem

_RULE = "a server goes back with the packages that it kept of what ran before its last fleet upgrade"
_OTHER_WAY = (
    "bring that release as any other: playbooks/upgrade.yml -e hdk_release=RELEASE -e ascend_hdk_allow_downgrade=true"
)


def kept_packages(
    folder: str, versions: Mapping[str, Optional[str]], *, chip: str, architecture: str
) -> Dict[str, Dict[str, Dict[str, str]]]:
    """Return the kept packages of these versions as `find_packages` does, with an empty path: they are there already.

    `versions` is component → version that is to run again, empty when that isn't known. Raises PackagesError.
    """
    if not any(versions.values()):
        raise PackagesError([_problem("no fleet upgrade is noted here, so it is not known what ran before")])
    found: Dict[str, Dict[str, str]] = {}
    problems: List[Problem] = []
    for component in (DRIVER, FIRMWARE):
        version = versions.get(component)
        if not version:
            problems.append(_problem(f"no {component} ran here before"))
            continue
        try:
            found[component] = _entry(folder, component, version, chip)
        except LookupError as error:
            problems.append(_problem(f"{folder} {error.args[0]}"))
    if problems:
        raise PackagesError(problems)
    return {architecture: found}


def packages_of_others(folder: str, versions: Iterable[Optional[str]]) -> List[str]:
    """Return the paths of the packages in a folder that are of none of these versions."""
    keep = [version for version in versions if version]
    return [path for path, name in _packages(folder) if not any(alike(name.version, version) for version in keep)]


def _entry(folder: str, component: str, version: str, chip: str) -> Dict[str, str]:
    """Return what is known of the kept package. Raises LookupError with what is wrong."""
    for path, name in _packages(folder):
        if name.kind != component or name.chip != chip or not alike(name.version, version):
            continue
        try:
            makeself_archive.payload(path)
        except makeself_archive.ArchiveError as error:
            raise LookupError(f"has {name.file}, but {error}") from error
        return {"file": name.file, "path": "", "version": version, "sha256": file_sha256(path)}
    raise LookupError(f"has no {component} {version} for {chip}")


def _packages(folder: str) -> List[Tuple[str, PackageName]]:
    try:
        files = sorted(os.listdir(folder))
    except OSError:
        return []
    named = [(os.path.join(folder, file), parse_package_name(file)) for file in files]
    return [(path, name) for path, name in named if name is not None]


def _problem(value: str) -> Problem:
    return Problem(check="kept_packages", value=value, rule=_RULE, next_step=_OTHER_WAY)
