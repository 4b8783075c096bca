# SPDX-License-Identifier: Apache-2.0
"""Judge whether the image a host has is the one wished for."""

from __future__ import annotations

from typing import Any, Dict, List, Optional

from ansible.module_utils.docker_objects import Image

BUILD_LABEL = "telechat.build"


def mismatch(wish: Dict[str, Any], image: Optional[Image]) -> Optional[str]:
    """Return why the image must be fetched or built; None when it is the right one.

    ``wish``: ``name``, ``source`` (archive, build, pull), ``ids`` (any of them is right; empty: any image
    of that name), ``fingerprint`` (of the build's inputs).
    """
    if image is None:
        return "there is no image {}".format(wish["name"])
    if wish["source"] == "build":
        built = image.labels.get(BUILD_LABEL)
        if built != wish["fingerprint"]:
            return "image {} was built from other inputs".format(wish["name"])
        return None
    if wish["ids"] and image.id not in wish["ids"]:
        return "image {} is {}, wanted {}".format(wish["name"], short(image.id), short(wish["ids"][0]))
    digest = wish["name"].partition("@")[2]
    if digest and not any(item.endswith("@" + digest) for item in image.digests):
        return "image {} has another digest".format(wish["name"])
    return None


def build_words(wish: Dict[str, Any]) -> List[str]:
    """Return the words of ``docker build`` for a wish with its context, Dockerfile and arguments."""
    words = ["build", "--tag", wish["name"], "--file", "{context}/{dockerfile}".format(**wish)]
    words += ["--pull"] if wish["pull_base"] else []
    for name, value in sorted(wish["build_args"].items()):
        words += ["--build-arg", f"{name}={value}"]
    return [*words, "--label", "{}={}".format(BUILD_LABEL, wish["fingerprint"]), wish["context"]]


def short(image_id: str) -> str:
    """Return an id in the length people compare."""
    return image_id[:19]
