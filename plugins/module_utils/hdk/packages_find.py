# SPDX-License-Identifier: Apache-2.0
"""Find the driver and firmware packages of one HDK release, in a folder or at the lock file's urls, all checked."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Dict, List, Mapping, Optional, Tuple

from ansible.module_utils.ascend.version import alike
from ansible.module_utils.hdk.lock import CHECK, LockEntry
from ansible.module_utils.hdk.package_name import DRIVER, FIRMWARE, ZIP, PackageName, parse_package_name
from ansible.module_utils.hdk.package_source import Sources, locked_file
from ansible.module_utils.hdk.package_store import PackageError, RunFile, load_run_file, run_files_of
from ansible.module_utils.hdk.signature import check_package_signature
from ansible.module_utils.host_problem import Problem

_MEND_FILE = "download it again and compare with Huawei's sha256 (sha256sum FILE), then mend the lock file"


class PackagesError(Exception):
    """No usable packages; `problems` has all of the reasons."""

    def __init__(self, problems: List[Problem]) -> None:
        super().__init__("; ".join(problem.value for problem in problems))
        self.problems = problems


@dataclass(frozen=True)
class Wanted:
    """What to look for; an empty release means the only one there, an empty firmware the one that belongs to it."""

    folder: str
    lock_file: str
    chip: str
    release: str
    firmware_version: str
    cache: str
    signature_ca: str = ""


def find_packages(wanted: Wanted, lock: Mapping[str, LockEntry]) -> Dict[str, Dict[str, Dict[str, str]]]:
    """Return architecture → {driver, firmware} → {file, path, version, sha256}; `lock` is name → entry.

    Raises PackagesError with one problem for each file that is wrong.
    """
    names = _of_chip(wanted, _package_names(wanted, lock))
    run_files = _load(wanted, _of_release(wanted, names), lock)
    found: Dict[str, Dict[str, Dict[str, str]]] = {}
    for architecture, driver in sorted(_drivers(wanted, run_files).items()):
        in_zip = [run for run in run_files if run.name.kind == FIRMWARE]
        firmware = _firmware(wanted, driver, in_zip) or _loose_firmware(wanted, driver, names, lock)
        found[architecture] = {DRIVER: _entry(driver), FIRMWARE: _entry(firmware)}
    return found


def _package_names(wanted: Wanted, lock: Mapping[str, LockEntry]) -> List[PackageName]:
    try:
        files = sorted(os.listdir(wanted.folder))
    except OSError as error:
        raise _error(
            f"{wanted.folder}: {error.strerror}",
            "ascend_hdk_package_dir is a folder of the control side that holds the HDK packages",
            "make it and put Huawei's zip into it, or set ascend_hdk_package_dir",
        ) from error
    elsewhere = sorted(entry.name for entry in lock.values() if entry.url and entry.name not in files)
    names = [name for name in map(parse_package_name, [*files, *elsewhere]) if name]
    if not names:
        raise _error(
            f"{wanted.folder} holds no HDK package, but {', '.join(files[:5]) or 'nothing'}",
            "packages are named like Ascend-hdk-910b-npu_24.1.rc3_linux-aarch64.zip",
            "put Huawei's zip, or its .run files, into that folder under their own names",
        )
    return names


def _of_chip(wanted: Wanted, names: List[PackageName]) -> List[PackageName]:
    chosen = [name for name in names if name.chip == wanted.chip]
    if not chosen:
        raise _error(
            f"{wanted.folder} holds packages for other chips: {_listing(names)}",
            f"ascend_hdk_chip is {wanted.chip}",
            f"get the package for {wanted.chip}, or set ascend_hdk_chip",
        )
    return chosen


def _of_release(wanted: Wanted, names: List[PackageName]) -> List[PackageName]:
    """Return the zips and drivers of the one release."""
    carriers = [name for name in names if name.kind != FIRMWARE]
    releases: List[str] = []
    for name in carriers:
        if not any(alike(name.version, release) for release in releases):
            releases.append(name.version)
    if not wanted.release and len(releases) > 1:
        raise _error(
            f"{_offering(wanted, carriers)} {len(releases)} releases: {', '.join(releases)}",
            "one release is installed on all hosts",
            "set ascend_hdk_release to one of them",
        )
    chosen = [name for name in carriers if not wanted.release or alike(name.version, wanted.release)]
    if not chosen:
        raise _error(
            f"{wanted.folder} holds no driver of that release, but {_listing(names)}",
            f"ascend_hdk_release is {wanted.release or 'empty, so any'}",
            "get that release's zip, or set ascend_hdk_release to one that is there",
        )
    return chosen


def _offering(wanted: Wanted, names: List[PackageName]) -> str:
    if all(os.path.exists(os.path.join(wanted.folder, name.file)) for name in names):
        return f"{wanted.folder} holds"
    return f"{wanted.folder} and the urls of {wanted.lock_file} have"


def _load(wanted: Wanted, names: List[PackageName], lock: Mapping[str, LockEntry]) -> List[RunFile]:
    """Check every file and unpack the zips; all files' problems at once."""
    found: List[RunFile] = []
    problems: List[Problem] = []
    for name in names:
        try:
            path, checksum = _checked(wanted, name, lock)
            files = (
                run_files_of(path, checksum, wanted.cache)
                if name.kind == ZIP
                else [load_run_file(path, wanted.cache, sha256=checksum)]
            )
            for run in files:
                _check_inside(run, name)
            found += files
        except PackageError as error:
            problems.append(_of_package(error, wanted))
    if problems:
        raise PackagesError(problems)
    return found


def _checked(wanted: Wanted, name: PackageName, lock: Mapping[str, LockEntry]) -> Tuple[str, str]:
    """Return path and sha256 of a package that is the lock file's, and signed where that is asked for."""
    sources = Sources(folder=wanted.folder, cache=wanted.cache)
    path, checksum = locked_file(name.file, lock, sources)
    if wanted.signature_ca:
        check_package_signature(path, wanted.signature_ca, wanted.cache)
    return path, checksum


def _check_inside(run: RunFile, carrier: PackageName) -> None:
    """Compare a package with the zip it came in and with the name it has. Raises PackageError."""
    if run.name.chip != carrier.chip:
        raise PackageError(f"{carrier.file} holds {run.name.file}, which is for another chip")
    if run.name.architecture and carrier.architecture and run.name.architecture != carrier.architecture:
        raise PackageError(f"{carrier.file} holds {run.name.file}, which is for another architecture")
    if run.version_inside and not alike(run.version_inside, run.name.version):
        raise PackageError(f"{run.name.file} holds version {run.version_inside}: it was renamed")


def _drivers(wanted: Wanted, run_files: List[RunFile]) -> Dict[str, RunFile]:
    """Return architecture → driver; the same file twice, loose and in the zip, is one."""
    drivers: Dict[str, RunFile] = {}
    for run in run_files:
        if run.name.kind != DRIVER:
            continue
        carrier = parse_package_name(run.origin)
        architecture = run.name.architecture or (carrier.architecture if carrier else None)
        if architecture is None:
            raise _error(
                f"{run.name.file} names no architecture",
                "a driver is built for aarch64 or x86_64",
                "leave it in its zip, whose name has the architecture",
            )
        other = drivers.setdefault(architecture, run)
        if other.sha256 != run.sha256:
            raise _error(
                f"two drivers {wanted.release} for {architecture}: {other.name.file} of {other.origin}, and"
                f" {run.name.file} of {run.origin}",
                "there is one driver of a release for an architecture",
                "keep the one you mean in the folder",
            )
    if not drivers:
        raise _error(
            f"no driver in {', '.join(sorted({run.origin for run in run_files}))}",
            "the zip of a release holds its driver and firmware",
            "get the zip again",
        )
    return drivers


def _loose_firmware(
    wanted: Wanted, driver: RunFile, names: List[PackageName], lock: Mapping[str, LockEntry]
) -> RunFile:
    """Return the firmware that lies beside the driver as a file of its own."""
    loose: List[RunFile] = []
    for name in (name for name in names if name.kind == FIRMWARE):
        if wanted.firmware_version and not alike(name.version, wanted.firmware_version):
            continue
        try:
            path, checksum = _checked(wanted, name, lock)
            loose.append(load_run_file(path, wanted.cache, sha256=checksum))
        except PackageError as error:
            raise PackagesError([_of_package(error, wanted)]) from error
    firmware = _firmware(wanted, driver, loose)
    if firmware is None:
        raise _error(
            f"no firmware for {driver.name.file} in {wanted.folder}",
            f"ascend_hdk_firmware_version is {wanted.firmware_version or 'empty: that of the release'}",
            "get Huawei's zip of the release, which has both, or name the firmware's version",
        )
    return firmware


def _firmware(wanted: Wanted, driver: RunFile, among: List[RunFile]) -> Optional[RunFile]:
    """Return the firmware of the wanted version, or the one whose package_version is the driver's release."""
    if wanted.firmware_version:
        fitting = [run for run in among if alike(run.version, wanted.firmware_version)]
    else:
        fitting = [run for run in among if run.release_inside is None or alike(run.release_inside, driver.version)]
    if len({run.sha256 for run in fitting}) > 1:
        raise _error(
            f"{len(fitting)} firmware packages for {driver.name.file}: {', '.join(run.name.file for run in fitting)}",
            "one firmware belongs to a driver",
            "set ascend_hdk_firmware_version to one of them",
        )
    return fitting[0] if fitting else None


def _entry(run: RunFile) -> Dict[str, str]:
    return {"file": run.name.file, "path": run.path, "version": run.version, "sha256": run.sha256}


def _listing(names: List[PackageName]) -> str:
    return ", ".join(name.file for name in names)


def _of_package(error: PackageError, wanted: Wanted) -> Problem:
    rule = error.rule or f"{wanted.lock_file} names every package with its sha256 and size"
    return _problem(str(error), rule, error.next_step or _MEND_FILE)


def _problem(value: str, rule: str, next_step: str) -> Problem:
    return Problem(check=CHECK, value=value, rule=rule, next_step=next_step)


def _error(value: str, rule: str, next_step: str) -> PackagesError:
    return PackagesError([_problem(value, rule, next_step)])
