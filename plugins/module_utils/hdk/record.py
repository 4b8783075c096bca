# SPDX-License-Identifier: Apache-2.0
"""What this host's installers did and when, as far as the host's own files don't tell.

One JSON file. `begin` before an installer and `finish` after it did well, so that a power cut or a failure in between
is seen; the boot id tells whether a reboot has happened since. A host without the file loses nothing: then the time of
version.info against the boot time decides, and estimates are those of the inventory.
"""

from __future__ import annotations

import json
import math
import os
import time
from typing import Any, Dict, Optional, Tuple

from ansible.module_utils.ascend.atomic_file import read_object, replace_file

RECORD = "var/lib/ascend-hdk/record.json"
_DURATIONS = "durations"
_LAST_RUN = "last_run"
_STOPPED = "stopped"
_NO_COMPONENTS = (_DURATIONS, _LAST_RUN, _STOPPED)
_REBOOT = "reboot"


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
        """Return component → {action, version, boot_id, started, finished, seconds, reboot_owed}.

        `action` is what was done last: install, upgrade or uninstall (of that version); `seconds` is None until it has
        finished. Empty when nothing readable was recorded.
        """
        return {name: entry for name, entry in self._content().items() if name not in _NO_COMPONENTS}

    def durations(self) -> Dict[str, float]:
        """Return how long the last of each took here: `driver install`, `driver uninstall`, …, `reboot` → seconds."""
        durations = self._content().get(_DURATIONS)
        return durations if isinstance(durations, dict) else {}

    def seconds(self) -> Dict[str, int]:
        """Return what to expect of this host, as ascend_hdk_durations names it: driver, firmware, uninstall, reboot."""
        known: Dict[str, int] = {}
        for name, seconds in self.durations().items():
            component, _, action = name.partition(" ")
            kind = action if action == "uninstall" else component
            known[kind] = max(known.get(kind, 0), math.ceil(seconds))
        return known

    def begin(self, component: str, action: str, version: Optional[str]) -> None:
        """Note that an installer, or an uninstall script, is about to run."""
        entry = {"action": action, "version": version, "boot_id": self.boot_id(), "started": _now()}
        self._write({component: dict(entry, finished=False, seconds=None, reboot_owed=True)})

    def finish(self, component: str, *, reboot_owed: bool) -> None:
        """Note that what was begun ended well, and whether a reboot is due for it."""
        entry = self.read()[component]
        seconds = round(max(0.0, _now() - entry["started"]), 1)
        durations = dict(self.durations(), **{f"{component} {entry['action']}": seconds})
        self._write(
            {component: dict(entry, finished=True, seconds=seconds, reboot_owed=reboot_owed), "durations": durations}
        )

    def rebooted(self, seconds: float) -> None:
        """Note how long the last reboot took, until npu-smi answered."""
        self._write({_DURATIONS: dict(self.durations(), **{_REBOOT: round(seconds, 1)})})

    def stopped(self) -> Tuple[str, ...]:
        """Return the containers that were stopped for the driver's installer and are to be started again."""
        names = self._content().get(_STOPPED)
        return tuple(str(name) for name in names) if isinstance(names, list) else ()

    def stops(self, container: str) -> None:
        """Note that a container is about to be stopped, so that whatever comes between does not keep it so."""
        self._write({_STOPPED: sorted({*self.stopped(), container})})

    def started(self, container: str) -> None:
        """Note that a container is stopped no more, or none of ours to start any more."""
        self._write({_STOPPED: [name for name in self.stopped() if name != container]})

    def last_run(self) -> Dict[str, Any]:
        """Return the state of the run of steps that came to its own end last, in whatever boot; empty when none has."""
        state = self._content().get(_LAST_RUN)
        return state if isinstance(state, dict) else {}

    def ran(self, state: Dict[str, Any]) -> None:
        """Note how a run of steps ended, for those who ask after a reboot."""
        self._write({_LAST_RUN: state})

    def _content(self) -> Dict[str, Dict[str, Any]]:
        return read_json(self._path)

    def _write(self, entries: Dict[str, Any]) -> None:
        write_json(self._path, dict(self._content(), **entries))


def read_json(path: str) -> Dict[str, Any]:
    """Return a JSON file's object; empty when there is none that can be read."""
    return read_object(path) or {}


def write_json(path: str, content: Dict[str, Any]) -> None:
    """Replace a JSON file, and make its folder where there is none."""
    os.makedirs(os.path.dirname(path), mode=0o755, exist_ok=True)
    replace_file(path, json.dumps(content, indent=1, sort_keys=True))


def _now() -> float:
    return round(time.time(), 1)
