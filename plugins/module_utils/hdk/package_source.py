# SPDX-License-Identifier: Apache-2.0
"""A package as the lock file has it, checked: from the folder, or fetched from its url into the cache."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from dataclasses import dataclass
from typing import Iterator, Mapping, Tuple

from ansible.module_utils import download
from ansible.module_utils.ascend.package_url import location_and_headers, public
from ansible.module_utils.file_digest import file_sha256
from ansible.module_utils.hdk.lock import LockEntry
from ansible.module_utils.hdk.package_store import PackageError, check_whole

_PATIENCE = download.Patience(timeout=60.0, retries=4, sleep=time.sleep)


@dataclass(frozen=True)
class Sources:
    """The folder of packages, the cache for what is fetched, and how long to try."""

    folder: str
    cache: str
    patience: download.Patience = _PATIENCE


def locked_file(file: str, lock: Mapping[str, LockEntry], sources: Sources) -> Tuple[str, str]:
    """Return path and sha256 of a package that is what the lock file says. Raises PackageError."""
    path = os.path.join(sources.folder, file)
    entry = lock.get(file)
    if entry is not None and entry.url and not os.path.exists(path):
        path = _fetched(entry, sources)
    check_whole(path)
    if entry is not None and os.path.getsize(path) != entry.size:
        raise PackageError(f"{file} has {os.path.getsize(path)} bytes, the lock file says {entry.size}")
    actual = file_sha256(path)
    if entry is None:
        raise PackageError(
            f"{file} is not in the lock file; its sha256 is {actual}",
            next_step="compare that with Huawei's and take it up: ansible-playbook playbooks/hdk_lock.yml",
        )
    if entry.sha256 != actual:
        raise PackageError(f"{file} has sha256 {actual}, the lock file says {entry.sha256}")
    return path, actual


def _fetched(entry: LockEntry, sources: Sources) -> str:
    """Return the cache's copy; it gets its name once its size and sha256 are the lock file's."""
    folder = os.path.join(sources.cache, "downloads", entry.sha256)
    path = os.path.join(folder, entry.name)
    location, headers = location_and_headers(entry.url)
    wanted = download.Wanted(location=location, size=entry.size, sha256=entry.sha256)
    try:
        os.makedirs(folder, mode=0o755, exist_ok=True)
        with _alone(os.path.join(folder, "lock")):
            if not _is_whole(path, entry):
                download.fetch(wanted, path + ".part", headers, sources.patience)
                os.chmod(path + ".part", 0o644)
                os.replace(path + ".part", path)
    except (download.FetchError, OSError) as error:
        raise PackageError(
            f"{entry.name} can't be fetched from {public(entry.url)}: {error}",
            "a package that the folder does not have is fetched from the lock file's url",
            "mend the url or the way to it (http_proxy, https_proxy, no_proxy) and run again, which goes on where this"
            " ended; or put the file into the folder",
        ) from error
    return path


def _is_whole(path: str, entry: LockEntry) -> bool:
    if not os.path.isfile(path) or os.path.getsize(path) != entry.size:
        return False
    return file_sha256(path) == entry.sha256


@contextlib.contextmanager
def _alone(path: str) -> Iterator[None]:
    """Let one process at a time write the part; the system frees the lock of one that dies."""
    with open(path, "w", encoding="utf-8") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield
