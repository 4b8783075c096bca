# SPDX-License-Identifier: Apache-2.0
"""What this host's installers did and when, as far as the host's own files don't tell.

One JSON file. `begin` before an installer and `finish` after it did well, so that a power cut or a failure in between
is seen; the boot id tells whether a reboot has happened since. A host without the file loses nothing: then the time of
version.info against the boot time decides.
"""

from __future__ import annotations

import json
import os
import tempfile
from typing import Any, Dict

RECORD = "var/lib/ascend-hdk/record.json"


class HdkRecord:
    """The record below a root folder (`/` on a host)."""

    def __init__(self, root: str = "/") -> None:
        self._path = os.path.join(root, RECORD)
        self._boot_id = os.path.join(root, "proc/sys/kernel/random/boot_id")

    def boot_id(self) -> str:
        """Return the id of the running boot."""
        with open(self._boot_id, encoding="ascii") as stream:
            return stream.read().strip()

    def read(self) -> Dict[str, Dict[str, Any]]:
        """Return component → {version, boot_id, finished, reboot_owed}; empty when nothing readable was recorded."""
        try:
            with open(self._path, encoding="utf-8") as stream:
                content = json.load(stream)
        except (OSError, ValueError):
            return {}
        return content if isinstance(content, dict) else {}

    def begin(self, component: str, version: str) -> None:
        """Note that an installer is about to run."""
        self._write(component, {"version": version, "boot_id": self.boot_id(), "finished": False, "reboot_owed": True})

    def finish(self, component: str, version: str, *, reboot_owed: bool) -> None:
        """Note that an installer ended well and whether a reboot is due for it."""
        entry = {"version": version, "boot_id": self.boot_id(), "finished": True, "reboot_owed": reboot_owed}
        self._write(component, entry)

    def _write(self, component: str, entry: Dict[str, Any]) -> None:
        content = dict(self.read(), **{component: entry})
        folder = os.path.dirname(self._path)
        os.makedirs(folder, mode=0o755, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=folder)
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            json.dump(content, stream, indent=1, sort_keys=True)
            stream.flush()
            os.fsync(stream.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, self._path)
