# SPDX-License-Identifier: Apache-2.0
import pytest
from ansible.module_utils.docker_objects import Image
from ansible.module_utils.image_plan import mismatch

RIGHT, OTHER = "sha256:" + "a" * 64, "sha256:" + "b" * 64
DIGEST = "sha256:" + "d" * 64


def image(image_id=RIGHT, digests=(), **labels):
    return Image(id=image_id, digests=digests, labels={key.replace("_", "."): value for key, value in labels.items()})


def wish(source, name="ms:1.0", ids=(), fingerprint=""):
    return {"source": source, "name": name, "ids": list(ids), "fingerprint": fingerprint}


@pytest.mark.parametrize(
    ("wanted", "found", "reason"),
    [
        (wish("archive", ids=[RIGHT]), image(), None),
        (wish("archive", ids=[OTHER, RIGHT]), image(), None),
        (wish("archive", ids=[RIGHT]), None, "there is no image ms:1.0"),
        (wish("archive", ids=[OTHER]), image(), "image ms:1.0 is sha256:aaaaaaaaaaaa, wanted sha256:bbbbbbbbbbbb"),
        (wish("build", fingerprint="f"), image(telechat_build="f"), None),
        (wish("build", fingerprint="f"), image(telechat_build="g"), "image ms:1.0 was built from other inputs"),
        (wish("build", fingerprint="f"), image(), "image ms:1.0 was built from other inputs"),
        (wish("pull"), image(), None),
        (wish("pull", ids=[OTHER]), image(), "image ms:1.0 is sha256:aaaaaaaaaaaa, wanted sha256:bbbbbbbbbbbb"),
        (wish("pull", name="r/ms@" + DIGEST), image(digests=("r/ms@" + DIGEST,)), None),
        (wish("pull", name="r/ms@" + DIGEST), image(), f"image r/ms@{DIGEST} has another digest"),
    ],
)
def test_mismatch(wanted, found, reason):
    assert mismatch(wanted, found) == reason
