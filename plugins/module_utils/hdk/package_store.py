# SPDX-License-Identifier: Apache-2.0
"""HDK packages as files of the control side: checksums, a zip's .run files in a cache, the versions inside them."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import zipfile
from dataclasses import dataclass
from typing import BinaryIO, Dict, List, Optional

from ansible.module_utils import makeself_archive
from ansible.module_utils.ascend.atomic_file import replace_file
from ansible.module_utils.ascend.version_info import parse_key_values
from ansible.module_utils.file_digest import file_sha256
from ansible.module_utils.hdk.package_name import PackageName, parse_package_name

_CHUNK = 1024 * 1024
_FOLDER_MODE = 0o755
_FILE_MODE = 0o644


class PackageError(Exception):
    """A package can't be used: what is wrong with which file; rule and next step where they are not the usual ones."""

    def __init__(self, value: str, rule: str = "", next_step: str = "") -> None:
        super().__init__(value)
        self.rule = rule
        self.next_step = next_step


@dataclass(frozen=True)
class RunFile:
    """A .run file: its path, name and checksum, and what its version.info says (None where that can't be read)."""

    path: str
    name: PackageName
    sha256: str
    version_inside: Optional[str]
    release_inside: Optional[str]
    origin: str

    @property
    def version(self) -> str:
        """The component's version."""
        return self.version_inside or self.name.version


def check_whole(path: str) -> None:
    """Raise PackageError when a zip or .run file is cut short, told from its own headers."""
    name = os.path.basename(path)
    if path.endswith(".zip"):
        if not zipfile.is_zipfile(path):
            raise PackageError(f"{name} is truncated or no zip file: its directory is missing")
        return
    try:
        makeself_archive.payload(path)
    except makeself_archive.ArchiveError as error:
        raise PackageError(f"{name} is truncated or no package: {error}") from error


def run_files_of(archive: str, sha256: str, cache: str) -> List[RunFile]:
    """Return the .run files of a zip, unpacked once into the cache and compared with it ever since.

    Raises PackageError.
    """
    folder = os.path.join(cache, "packages", sha256)
    if not _is_as_unpacked(folder):
        _unpack(archive, folder)
    origin = os.path.basename(archive)
    sums = _sums(folder)
    found = [load_run_file(os.path.join(folder, file), cache, origin, sums[file]) for file in sorted(sums)]
    if not found:
        raise PackageError(f"{origin} holds no driver or firmware package (.run)")
    return found


def load_run_file(path: str, cache: str, origin: str = "", sha256: Optional[str] = None) -> RunFile:
    """Return what is known of a .run file; its version.info is kept in the cache. Raises PackageError."""
    name = parse_package_name(os.path.basename(path))
    if name is None:
        raise PackageError(f"{os.path.basename(path)} is not named as an HDK package is")
    check_whole(path)
    checksum = sha256 or file_sha256(path)
    text = _version_info(path, os.path.join(cache, "version-info", checksum + ".json"))
    pairs = parse_key_values(text or "")
    return RunFile(
        path=path,
        name=name,
        sha256=checksum,
        version_inside=pairs.get("Version"),
        release_inside=pairs.get("package_version"),
        origin=origin or name.file,
    )


def _version_info(path: str, kept: str) -> Optional[str]:
    try:
        with open(kept, encoding="utf-8") as stream:
            text: Optional[str] = json.load(stream)
            return text
    except (OSError, ValueError):
        text = makeself_archive.read_version_info(path)
    _keep(kept, text)
    return text


def _keep(path: str, value: object) -> None:
    """Write a JSON file in one step."""
    os.makedirs(os.path.dirname(path), mode=_FOLDER_MODE, exist_ok=True)
    replace_file(path, json.dumps(value))


def _sums(folder: str) -> Dict[str, str]:
    """Return file → sha256 as they were when the folder was unpacked."""
    with open(folder + ".json", encoding="utf-8") as stream:
        sums: Dict[str, str] = json.load(stream)
    return sums


def _is_as_unpacked(folder: str) -> bool:
    try:
        sums = _sums(folder)
        return all(file_sha256(os.path.join(folder, file)) == sum_ for file, sum_ in sums.items())
    except (OSError, ValueError, AttributeError):
        return False


def _unpack(archive: str, folder: str) -> None:
    """Unpack into a folder beside and rename it; its checksums are written last, and it counts only with them."""
    os.makedirs(os.path.dirname(folder), mode=_FOLDER_MODE, exist_ok=True)
    temporary = tempfile.mkdtemp(dir=os.path.dirname(folder))
    try:
        with open(archive, "rb") as stream:
            _unpack_run_files(stream, temporary)
        os.chmod(temporary, _FOLDER_MODE)
        shutil.rmtree(folder, ignore_errors=True)
        os.rename(temporary, folder)
        _keep(folder + ".json", {file: file_sha256(os.path.join(folder, file)) for file in os.listdir(folder)})
    except (zipfile.BadZipFile, OSError, EOFError) as error:
        raise PackageError(f"{os.path.basename(archive)} can't be unpacked: {error}") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _unpack_run_files(stream: BinaryIO, folder: str) -> None:
    """Write the .run files of a zip, and of a zip within it, flat into the folder; leave everything else."""
    with zipfile.ZipFile(stream) as archive:
        for entry in archive.infolist():
            file = entry.filename.rpartition("/")[2]
            if file.endswith(".zip"):
                with tempfile.TemporaryFile() as inner, archive.open(entry) as source:
                    shutil.copyfileobj(source, inner, _CHUNK)
                    _unpack_run_files(inner, folder)
            elif parse_package_name(file) is not None:
                target = os.path.join(folder, file)
                with archive.open(entry) as source, open(target, "wb") as sink:
                    shutil.copyfileobj(source, sink, _CHUNK)
                os.chmod(target, _FILE_MODE)
