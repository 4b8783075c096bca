# SPDX-License-Identifier: Apache-2.0
"""Ask the docker client about one container and one image, in one process."""

from __future__ import annotations

import os
import re
from typing import Any, Dict, NamedTuple, Optional, Tuple

from ansible.module_utils.ascend.docker_inspect import found_objects
from ansible.module_utils.command_result import Result, Run

RC_MISSING_PROGRAM = 127
# podman-docker is a script with Docker's name; sites link isula and nerdctl to it.
_OTHER_CLIENTS = ("isula", "nerdctl", "podman")
_SCRIPT_BYTES = 4096


class Container(NamedTuple):
    """What counts of one container."""

    id: str
    image_id: str
    running: bool
    labels: Dict[str, str]


class Image(NamedTuple):
    """What counts of one image; digests are the registry's, as ``repository@sha256:…``."""

    id: str
    digests: Tuple[str, ...]
    labels: Dict[str, str]


class Inspected(NamedTuple):
    """Answer of the engine; when it does not answer, ``reason`` says why and both objects are None.

    ``has_client`` is false when there is no client to ask with.
    """

    reason: str
    container: Optional[Container] = None
    image: Optional[Image] = None
    has_client: bool = True

    @property
    def reachable(self) -> bool:
        """Whether the engine answered."""
        return not self.reason


def with_tag(name: str) -> str:
    """Return an image name with its tag or digest spelled out: ``telechat-ms`` is ``telechat-ms:latest``."""
    last = name.rsplit("/", 1)[-1]
    return name if ":" in last or "@" in last else name + ":latest"


def inspect(run: Run, cli: str, container_name: str, image_name: str) -> Inspected:
    """Look at a container and an image (either name may be empty) with one ``docker inspect``."""
    names = [container_name] if container_name else []
    names += [with_tag(image_name)] if image_name else []
    result = run([cli, "inspect", *names]) if names else run([cli, "version", "--format", "{{.Server.Version}}"])
    if result.rc == RC_MISSING_PROGRAM:
        return Inspected(reason=f"{cli} is not installed", has_client=False)
    if not names:
        return Inspected(reason="" if result.rc == 0 else _silent(result))
    objects = found_objects(*result)
    if objects is None:
        return Inspected(reason=_silent(result))
    return Inspected(
        reason="",
        container=next((_container(item) for item in objects if "State" in item), None),
        image=next((_image(item) for item in objects if "RootFS" in item), None),
    )


def other_engine(cli: str) -> Optional[str]:
    """Return the name of the engine that a client by the name of docker really belongs to; None for Docker's own."""
    program = os.path.basename(os.path.realpath(cli))
    try:
        with open(cli, "rb") as stream:
            beginning = stream.read(_SCRIPT_BYTES)
    except OSError:
        return None
    if beginning.startswith(b"#!"):
        called = re.search(rb"^\s*exec\s+(?:\S*/)?(podman|isula|nerdctl)\b", beginning, re.MULTILINE)
        return called.group(1).decode() if called else None
    return program if program in _OTHER_CLIENTS else None


def last_line(text: str) -> str:
    """Return the last line that says something, for use in a message."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "it said nothing"


def _silent(result: Result) -> str:
    return f"the engine does not answer: {last_line(result.stderr or result.stdout)}"


def _container(item: Dict[str, Any]) -> Container:
    return Container(
        id=item["Id"],
        image_id=item["Image"],
        running=bool(item["State"].get("Running")),
        labels=dict((item.get("Config") or {}).get("Labels") or {}),
    )


def _image(item: Dict[str, Any]) -> Image:
    return Image(
        id=item["Id"],
        digests=tuple(item.get("RepoDigests") or ()),
        labels=dict((item.get("Config") or {}).get("Labels") or {}),
    )
