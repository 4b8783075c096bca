# SPDX-License-Identifier: Apache-2.0
"""Brings a file of a job from its node to the control side: in pieces, checked, never half under its name."""

from __future__ import annotations

import contextlib
import hashlib
from pathlib import Path
from typing import BinaryIO

from telechat_runtime.errors import InterruptedByUserError, UnreachableError
from telechat_runtime.interrupt import Interrupt
from telechat_runtime.remote.client import NodeClient
from telechat_runtime.remote.events import FileEnd, FilePiece
from telechat_runtime.remote.watch import FleetWatch, NodeLost

_SILENCE_SECONDS = 60.0


class JobFiles:
    """The files in the work folder of a job on one node."""

    def __init__(self, client: NodeClient, job_id: str, job_root: str, interrupt: Interrupt) -> None:
        self._client = client
        self._job_id = job_id
        self._job_root = job_root
        self._interrupt = interrupt

    def fetch(self, name: str, target: Path) -> None:
        """Write the file `name` to `target`.

        Raises UnreachableError when it does not come whole, InterruptedByUserError, or OSError; `target` is then what
        it was.
        """
        fresh = target.with_name(f".{target.name}.part")
        try:
            with fresh.open("wb") as file:
                self._receive(name, file)
            fresh.replace(target)
        finally:
            with contextlib.suppress(FileNotFoundError):
                fresh.unlink()

    def _receive(self, name: str, file: BinaryIO) -> None:
        node = self._client.node.name
        digest = hashlib.sha256()
        begin = {node: lambda: self._client.read(self._job_id, self._job_root, name)}
        with contextlib.closing(FleetWatch(begin, heartbeat_timeout=_SILENCE_SECONDS)) as watch:
            for _, event in watch.follow(self._interrupt):
                if isinstance(event, NodeLost):
                    raise event.fault or UnreachableError(
                        f"{name} of job {self._job_id} did not come whole: {event.reason}",
                        next_step=f"it is on the node: {self._job_root}/jobs/{self._job_id}/work/{name}",
                        node=node,
                    )
                if isinstance(event, FilePiece):
                    digest.update(event.base64)
                    file.write(event.base64)
                elif isinstance(event, FileEnd):
                    if event.sha256 != digest.hexdigest():
                        raise UnreachableError(f"{name} came with another sha256 than it was sent with", node=node)
                    return
        raise InterruptedByUserError(f"interrupted while fetching {name} of job {self._job_id}")
