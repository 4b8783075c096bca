# SPDX-License-Identifier: Apache-2.0
"""A small container image as the archive that `docker load` takes, made without Docker.

Format: the image specification's "docker-archive": layer tars, a configuration whose sha256 is the image's id, and
manifest.json that names both (https://github.com/moby/docker-image-spec/blob/v1.3.1/spec.md).
"""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from typing import TYPE_CHECKING

from lab.debian import bootstrap_argv, machine_mirrors
from lab.process import contained, run

if TYPE_CHECKING:
    from pathlib import Path
    from typing import BinaryIO

# What MindSpore's shared libraries and msrun need of the system (msrun asks `ip -j addr` for its addresses).
PACKAGES = ("python3", "libgomp1", "libsqlite3-0", "iproute2", "procps")
TAG = "telechat-ms:1.0"
ARCHIVE = "telechat-ms.tar"
DESCRIPTION = "telechat-ms.json"
CREATED = "1970-01-01T00:00:00Z"


def configuration(diff_id: str, architecture: str) -> bytes:
    """Return the image's configuration document; its sha256 is the image id."""
    document = {
        "architecture": architecture,
        "os": "linux",
        "created": CREATED,
        "config": {
            "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8"],
            "Cmd": ["/bin/bash"],
            "WorkingDir": "/",
        },
        "rootfs": {"type": "layers", "diff_ids": [diff_id]},
        "history": [{"created": CREATED, "created_by": "telechat-ascend lab"}],
    }
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()


def write_archive(target: Path, layer: Path, *, tag: str, architecture: str) -> str:
    """Write the archive of one layer (a tar) and return the image id, `sha256:…`."""
    with layer.open("rb") as file:
        diff = hashlib.file_digest(file, "sha256").hexdigest()
    config = configuration(f"sha256:{diff}", architecture)
    identifier = hashlib.sha256(config).hexdigest()
    manifest = [{"Config": f"{identifier}.json", "RepoTags": [tag], "Layers": [f"{diff}/layer.tar"]}]
    with tarfile.open(target, "w", format=tarfile.USTAR_FORMAT) as archive:
        _add(archive, "manifest.json", io.BytesIO(json.dumps(manifest).encode()))
        _add(archive, f"{identifier}.json", io.BytesIO(config))
        with layer.open("rb") as file:
            _add(archive, f"{diff}/layer.tar", file)
    return f"sha256:{identifier}"


def _add(archive: tarfile.TarFile, name: str, file: BinaryIO) -> None:
    member = tarfile.TarInfo(name)
    member.size = file.seek(0, io.SEEK_END)
    file.seek(0)
    archive.addfile(member, file)


def build(folder: Path, _needs: dict[str, Path]) -> None:
    """Make the archive and, beside it, what its maker would tell a site: tag, image id, size and sha256 of the file."""
    layer = folder / "layer.tar"
    run(contained(bootstrap_argv(layer, PACKAGES, machine_mirrors())))
    archive = folder / ARCHIVE
    architecture = run(["dpkg", "--print-architecture"]).strip()
    identifier = write_archive(archive, layer, tag=TAG, architecture=architecture)
    layer.unlink()
    with archive.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    facts = {"tag": TAG, "image_id": identifier, "archive": ARCHIVE, "sha256": sha256, "size": archive.stat().st_size}
    (folder / DESCRIPTION).write_text(json.dumps(facts, indent=1) + "\n")
