# SPDX-License-Identifier: Apache-2.0
"""What a dataset or checkpoint was when a job began, in bounded time: enough to tell two apart, no proof of equality.

All files (up to MAX_FILES) by name and size; of up to SAMPLED_FILES, evenly chosen, the first and last MiB. A folder
with a dataset.json, which `telechat-run preprocess` writes, is known by that.
"""

from __future__ import annotations

import hashlib
import os
from typing import Any, Dict, Iterator, List, Tuple

MAX_FILES = 4096
SAMPLED_FILES = 8
_PIECE = 1 << 20
MANIFEST = "dataset.json"


def fingerprint(path: str) -> Dict[str, Any]:
    """Return files, bytes, the newest change (seconds since 1970), `listing` and `sample` (sha256), or `error`."""
    expanded = os.path.expanduser(path)
    try:
        return _fingerprint(expanded)
    except OSError as error:
        return {"path": path, "error": error.strerror or str(error)}


def _fingerprint(path: str) -> Dict[str, Any]:
    files = _files(path)
    listing = hashlib.sha256()
    for name, stat in files:
        listing.update(f"{name}\0{stat.st_size}\0".encode("utf-8", "surrogateescape"))
    manifest = os.path.join(path, MANIFEST)
    has_manifest = os.path.isfile(manifest)
    sampled = [manifest] if has_manifest else [os.path.join(path, name) if name else path for name in _chosen(files)]
    sample = hashlib.sha256()
    for file in sampled:
        _add_ends(sample, file)
    return {
        "path": path,
        "files": len(files),
        "complete": len(files) < MAX_FILES,
        "bytes": sum(stat.st_size for _, stat in files),
        "changed": int(max((stat.st_mtime for _, stat in files), default=0)),
        "listing": listing.hexdigest(),
        "by": MANIFEST if has_manifest else "first and last MiB",
        "sample": sample.hexdigest(),
    }


def _files(path: str) -> List[Tuple[str, os.stat_result]]:
    """Return name and stat of the file (its name is "" then), or of the folder's files, sorted by name."""
    if not os.path.isdir(path):
        return [("", os.stat(path))]
    found = []
    for name in _names(path):
        found.append((name, os.stat(os.path.join(path, name))))
        if len(found) == MAX_FILES:
            break
    return found


def _names(path: str) -> Iterator[str]:
    for folder, folders, names in os.walk(path):
        folders.sort()
        for name in sorted(names):
            if os.path.isfile(os.path.join(folder, name)):
                yield os.path.relpath(os.path.join(folder, name), path)


def _chosen(files: List[Tuple[str, os.stat_result]]) -> List[str]:
    names = [name for name, _ in files]
    if len(names) <= SAMPLED_FILES:
        return names
    return [names[number * (len(names) - 1) // (SAMPLED_FILES - 1)] for number in range(SAMPLED_FILES)]


def _add_ends(digest: Any, path: str) -> None:
    with open(path, "rb") as file:
        digest.update(file.read(_PIECE))
        size = os.fstat(file.fileno()).st_size
        if size > _PIECE:
            file.seek(max(_PIECE, size - _PIECE))
            digest.update(file.read(_PIECE))
