# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import hashlib
import json
import tarfile
from pathlib import Path

from lab.image import write_archive


def test_the_archive_says_of_itself_what_docker_load_checks(tmp_path: Path) -> None:
    layer = tmp_path / "layer.tar"
    layer.write_bytes(b"layer " * 1000)
    target = tmp_path / "image.tar"
    identifier = write_archive(target, layer, tag="x:1", architecture="amd64")
    with tarfile.open(target) as archive:
        contents = {member.name: archive.extractfile(member).read() for member in archive}  # type: ignore[union-attr]
    (manifest,) = json.loads(contents["manifest.json"])
    assert manifest["RepoTags"] == ["x:1"]
    config = contents[manifest["Config"]]
    assert identifier == f"sha256:{hashlib.sha256(config).hexdigest()}"
    (diff_id,) = json.loads(config)["rootfs"]["diff_ids"]
    (name,) = manifest["Layers"]
    assert contents[name] == layer.read_bytes()
    assert diff_id == f"sha256:{hashlib.sha256(layer.read_bytes()).hexdigest()}"


def test_the_same_layer_gives_the_same_bytes(tmp_path: Path) -> None:
    layer = tmp_path / "layer.tar"
    layer.write_bytes(b"layer")
    for name in ("a", "b"):
        write_archive(tmp_path / name, layer, tag="x:1", architecture="amd64")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
