# SPDX-License-Identifier: Apache-2.0
"""Read what an image archive (``docker save``) holds, without an engine."""

from __future__ import annotations

import json
import tarfile
from typing import Any, Dict, List

MANIFEST_LIMIT = 8 * 1024 * 1024
SHA256_DIGITS = 64


class ArchiveError(Exception):
    """The file is no archive of exactly one image."""


def image_ids(path: str) -> List[str]:
    """Return the ids the archive's image may get, ``sha256:…``: the configuration's digest and the manifest's.

    Engines name an image by the digest of its configuration; with the containerd image store it is the digest of the
    manifest, which archives of ``docker save`` since 25 carry in ``index.json``. A compressed archive is read whole.

    Raises ArchiveError, or OSError when the file can't be read.
    """
    try:
        documents = _documents(path)
    except (tarfile.TarError, EOFError, ValueError) as error:
        raise ArchiveError(f"{path} is no image archive: {error}") from error
    manifest = documents.get("manifest.json")
    if not isinstance(manifest, list) or not all(isinstance(item, dict) for item in manifest):
        raise ArchiveError(f"{path} is no image archive: it has no manifest.json (make it with docker save)")
    if len(manifest) != 1:
        raise ArchiveError(f"{path} holds {len(manifest)} images: one is needed")
    return [_config_digest(str(manifest[0].get("Config", "")), path), *_index_digests(documents.get("index.json"))]


def _documents(path: str) -> Dict[str, Any]:
    found = {}  # type: Dict[str, Any]
    with tarfile.open(path) as archive:
        for member in archive:
            if member.name in ("manifest.json", "index.json") and member.size <= MANIFEST_LIMIT:
                stream = archive.extractfile(member)
                if stream is not None:
                    found[member.name] = json.loads(stream.read().decode("utf-8"))
    return found


def _config_digest(config: str, path: str) -> str:
    # "<hex>.json" before Docker 25, "blobs/sha256/<hex>" since
    digest = config.rsplit("/", 1)[-1].replace(".json", "")
    if len(digest) != SHA256_DIGITS or set(digest) - set("0123456789abcdef"):
        raise ArchiveError(f"{path}: manifest.json names no configuration digest but {config!r}")
    return "sha256:" + digest


def _index_digests(index: Any) -> List[str]:
    manifests = index.get("manifests", []) if isinstance(index, dict) else []
    return [item["digest"] for item in manifests if isinstance(item, dict) and isinstance(item.get("digest"), str)]
