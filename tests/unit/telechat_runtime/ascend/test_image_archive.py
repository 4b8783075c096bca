# SPDX-License-Identifier: Apache-2.0
import io
import json
import tarfile
from pathlib import Path

import pytest

from telechat_runtime.ascend.image_archive import ArchiveError, image_ids

CONFIG = "c" * 64
MANIFEST = "sha256:" + "d" * 64


def archive(path, documents, mode="w"):
    with tarfile.open(path, mode) as target:
        for name, document in documents.items():
            content = document if isinstance(document, bytes) else json.dumps(document).encode()
            member = tarfile.TarInfo(name)
            member.size = len(content)
            target.addfile(member, io.BytesIO(content))
    return str(path)


def manifest(config, count=1):
    return [{"Config": config, "RepoTags": ["telechat-ms:1.0"], "Layers": ["x/layer.tar"]}] * count


@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_archive_of_an_older_engine(tmp_path, mode):
    path = archive(tmp_path / "a", {"x/layer.tar": b"x" * 5000, "manifest.json": manifest(CONFIG + ".json")}, mode)
    assert image_ids(path) == ["sha256:" + CONFIG]


def test_archive_in_oci_layout_has_both_ids(tmp_path):
    documents = {
        "index.json": {"manifests": [{"digest": MANIFEST}]},
        "manifest.json": manifest("blobs/sha256/" + CONFIG),
    }
    assert image_ids(archive(tmp_path / "a", documents)) == ["sha256:" + CONFIG, MANIFEST]


@pytest.mark.parametrize(
    ("documents", "message"),
    [
        ({}, "no manifest.json"),
        ({"manifest.json": {}}, "no manifest.json"),
        ({"manifest.json": b"{"}, "no image archive"),
        ({"manifest.json": manifest("x.json", count=2)}, "holds 2 images"),
        ({"manifest.json": manifest("x.json")}, "names no configuration digest but 'x.json'"),
    ],
)
def test_tar_that_is_no_image(tmp_path, documents, message):
    with pytest.raises(ArchiveError, match=message):
        image_ids(archive(tmp_path / "a", documents))


def test_file_that_is_no_tar(tmp_path):
    (tmp_path / "a").write_bytes(b"x" * 2000)
    with pytest.raises(ArchiveError, match="is no image archive"):
        image_ids(str(tmp_path / "a"))


def test_truncated_archive(tmp_path):
    documents = {"x/layer.tar": b"x" * 50000, "manifest.json": manifest(CONFIG + ".json")}
    path = archive(tmp_path / "a", documents, "w:gz")
    with Path(path).open("r+b") as stream:
        stream.truncate(60)
    with pytest.raises(ArchiveError, match="is no image archive"):
        image_ids(path)


def test_missing_file():
    with pytest.raises(FileNotFoundError):
        image_ids("/nowhere/a.tar")
