# SPDX-License-Identifier: Apache-2.0
"""Bring one entry of the weights list to its place: fetch, check, unpack, move, record."""

from __future__ import annotations

import os
import shutil
from typing import Dict, List

from ansible.module_utils import weights_store
from ansible.module_utils.download import Patience, Wanted, fetch
from ansible.module_utils.file_digest import file_sha256
from ansible.module_utils.unpack import unpack
from ansible.module_utils.weights_store import WeightsFile


class BringError(Exception):
    """The entry can't take its place; the message names what stands there."""


def bring(folder: str, item: WeightsFile, headers: Dict[str, str], patience: Patience) -> None:
    """Make one entry present and whole. Raises FetchError, UnpackError, BringError or OSError; what was there stays."""
    target = os.path.join(folder, item.dest)
    if item.unpack == "none" and _is_whole(target, item):
        weights_store.write_record(folder, item, [item.dest])
        return
    if os.path.isdir(target) and not os.path.exists(weights_store.record_path(folder, item)):
        raise BringError(f"{target} is there and was not brought by this role: remove it, or give another dest")
    part = weights_store.part_path(folder, item)
    os.makedirs(os.path.dirname(part), mode=0o755, exist_ok=True)
    wanted = Wanted(location=item.url or item.path, size=item.size, sha256=item.sha256)
    fetch(wanted, part, headers, patience)
    os.makedirs(os.path.dirname(target), mode=0o755, exist_ok=True)
    if item.unpack == "none":
        os.chmod(part, 0o644)
        os.replace(part, target)
        weights_store.write_record(folder, item, [item.dest])
        return
    names = _unpack_beside(folder, item, part)
    weights_store.write_record(folder, item, [os.path.join(item.dest, name) for name in names])
    os.unlink(part)


def _is_whole(path: str, item: WeightsFile) -> bool:
    return os.path.isfile(path) and os.path.getsize(path) == item.size and file_sha256(path) == item.sha256


def _unpack_beside(folder: str, item: WeightsFile, archive: str) -> List[str]:
    """Unpack next to the destination and move the folder there in one step; an older one goes last."""
    target = os.path.join(folder, item.dest)
    fresh = os.path.join(folder, weights_store.RECORDS, item.name + ".unpacked")
    old = os.path.join(folder, weights_store.RECORDS, item.name + ".old")
    _remove(fresh)
    _remove(old)
    os.mkdir(fresh, 0o755)
    names = unpack(archive, item.unpack, fresh)
    if os.path.lexists(target):
        os.rename(target, old)
    os.rename(fresh, target)
    _remove(old)
    return names


def _remove(path: str) -> None:
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
    elif os.path.lexists(path):
        os.unlink(path)
