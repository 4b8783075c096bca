# SPDX-License-Identifier: Apache-2.0
"""Which weights a host has whole: a record beside the files says so, and a look never hashes hundreds of gigabytes."""

from __future__ import annotations

import json
import os
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

from ansible.module_utils.ascend.atomic_file import replace_file

RECORDS = ".telechat"
SHA256_DIGITS = 64
ARCHIVE_SUFFIXES = {
    ".tar": "tar",
    ".tar.gz": "tar",
    ".tgz": "tar",
    ".tar.bz2": "tar",
    ".tar.xz": "tar",
    ".zip": "zip",
}


class WeightsFile(NamedTuple):
    """One entry of the list; ``size`` in bytes, ``unpack`` none, tar or zip, ``dest`` below the weights folder."""

    name: str
    url: str
    path: str
    sha256: str
    size: int
    unpack: str
    dest: str


class WeightsListError(Exception):
    """An entry of the list breaks a rule; the message names entry, value and rule."""


def parse_entry(entry: Dict[str, Any]) -> WeightsFile:
    """Check one entry and settle its defaults; raises WeightsListError."""
    name = str(entry.get("name") or "")
    if not name or name in (".", "..") or "/" in name or name.startswith(RECORDS):
        raise WeightsListError(f"weights file {name!r}: the name must be a plain file name")
    url, path = str(entry.get("url") or ""), str(entry.get("path") or "")
    if bool(url) == bool(path):
        raise WeightsListError(f"weights file {name}: give either url or path")
    if url and not url.startswith(("http://", "https://")):
        raise WeightsListError(f"weights file {name}: {url!r} is no http or https address")
    if path and not os.path.isabs(path):
        raise WeightsListError(f"weights file {name}: path {path!r} must be absolute (it is on the host)")
    sha256 = str(entry.get("sha256") or "").lower()
    if len(sha256) != SHA256_DIGITS or set(sha256) - set("0123456789abcdef"):
        raise WeightsListError(f"weights file {name}: sha256 {sha256!r} is not 64 hex digits")
    size = int(entry.get("size") or 0)
    if size <= 0:
        raise WeightsListError(f"weights file {name}: size must be its length in bytes, not {size}")
    unpack, stem = _unpack(name, str(entry.get("unpack") or "auto"))
    dest = os.path.normpath(str(entry.get("dest") or stem))
    if os.path.isabs(dest) or dest.split(os.sep)[0] in ("..", ".", RECORDS):
        raise WeightsListError(f"weights file {name}: dest {dest!r} must stay below the weights folder")
    return WeightsFile(name, url, path, sha256, size, unpack, dest)


def parse_list(entries: List[Dict[str, Any]]) -> List[WeightsFile]:
    """Check all entries; two of one name or one destination are an error (WeightsListError)."""
    files = [parse_entry(entry) for entry in entries]
    for field in ("name", "dest"):
        values = [getattr(item, field) for item in files]
        for value in values:
            if values.count(value) > 1:
                raise WeightsListError(f"weights files: two entries have the {field} {value!r}")
    return files


def _unpack(name: str, unpack: str) -> Tuple[str, str]:
    suffix = next((end for end in sorted(ARCHIVE_SUFFIXES, key=len, reverse=True) if name.endswith(end)), "")
    if unpack == "auto":
        unpack = ARCHIVE_SUFFIXES.get(suffix, "none")
    if unpack not in ("none", "tar", "zip"):
        raise WeightsListError(f"weights file {name}: unpack must be auto, none, tar or zip, not {unpack!r}")
    if unpack == "none":
        return unpack, name
    return unpack, name[: -len(suffix)] if suffix else name + ".unpacked"


def record_path(folder: str, item: WeightsFile) -> str:
    """Return where the record of one entry stands."""
    return os.path.join(folder, RECORDS, item.name + ".json")


def part_path(folder: str, item: WeightsFile) -> str:
    """Return where a download grows until it is whole."""
    return os.path.join(folder, RECORDS, item.name + ".part")


def lacking(folder: str, item: WeightsFile) -> Optional[str]:
    """Return why an entry must be fetched; None when its record and the files agree."""
    try:
        with open(record_path(folder, item), encoding="utf-8") as stream:
            record = json.load(stream)
    except (OSError, ValueError):
        return "not present"
    if not isinstance(record, dict) or record.get("sha256") != item.sha256:
        return "another version is present"
    if record.get("dest") != item.dest or record.get("unpack") != item.unpack:
        return "it lies elsewhere"
    for name, size, mtime in record.get("files", []):
        if _stamp(os.path.join(folder, name)) != (size, mtime):
            return f"{name} was changed or removed"
    return None


def write_record(folder: str, item: WeightsFile, names: List[str]) -> None:
    """Record that ``names`` (relative to the folder) are the whole of an entry."""
    files = []
    for name in sorted(names):
        stamp = _stamp(os.path.join(folder, name))
        if stamp is None:
            raise OSError(f"{os.path.join(folder, name)} vanished while it was recorded")
        files.append([name, stamp[0], stamp[1]])
    record = {"sha256": item.sha256, "dest": item.dest, "unpack": item.unpack, "files": files}
    replace_file(record_path(folder, item), json.dumps(record))


def needed_bytes(folder: str, files: List[WeightsFile]) -> int:
    """Return the free bytes that fetching takes: what is still to download, and once more what gets unpacked.

    The unpacked size is not known beforehand; checkpoints hardly compress, so the archive's own size stands for it.
    """
    total = 0
    for item in files:
        have = _stamp(part_path(folder, item))
        total += max(item.size - (have[0] if have else 0), 0)
        total += item.size if item.unpack != "none" else 0
    return total


def gigabytes(count: int) -> str:
    """Return a byte count for people."""
    return f"{count / 1e9:.1f} GB"


def _stamp(path: str) -> Optional[Tuple[int, int]]:
    try:
        status = os.stat(path)
    except OSError:
        return None
    # whole seconds: file systems on the network round the rest
    return status.st_size, int(status.st_mtime)
