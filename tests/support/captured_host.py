# SPDX-License-Identifier: Apache-2.0
"""A server from its capture: files below a folder, and a `run` that answers as the server's programs did."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible.module_utils.command_result import Result

NOT_IN_CAPTURE = Result(127, "", "not in the capture")
_KINDS = {"d": "folder", "l": "link"}


class CapturedHost:
    """Replays a capture below `root`."""

    def __init__(self, capture: Mapping[str, Any], root: Path) -> None:
        self.root = str(root)
        self.machine = str(capture["platform"]["machine"])
        self.release = str(capture["platform"]["release"])
        self.family = capture["platform"]["system"][2]
        self._answers = {tuple(each["argv"]): each for each in capture["commands"]}
        self._root = root
        for path, entry in capture["files"].items():
            target = self._root / path[1:]
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(entry["text"])
        # By length: a folder comes before what is in it.
        for path, entry in sorted(capture["listed"].items(), key=lambda item: (len(item[0]), item[0])):
            self._lay(path, entry)
        self._boot(capture["files"])

    def run(self, argv: list[str]) -> Result:
        """Answer as the server's program did; one that was not asked there is none."""
        words = [f"/{Path(word).relative_to(self._root)}" if word.startswith(self.root) else word for word in argv]
        answer = self._answers.get(tuple(words))
        return Result(answer["rc"], answer["stdout"], answer["stderr"]) if answer else NOT_IN_CAPTURE

    def _lay(self, path: str, entry: Mapping[str, Any]) -> None:
        target = self._root / path[1:]
        # What is there is a folder of files that were captured, perhaps below a link.
        if os.path.lexists(target):
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        kind = _KINDS.get(entry["mode"][0], "file")
        if kind == "folder":
            target.mkdir(exist_ok=True)
        elif kind == "link":
            link = entry["link"]
            target.symlink_to(self._root / link[1:] if link.startswith("/") else link)
        else:
            target.touch()

    def _boot(self, files: Mapping[str, Any]) -> None:
        """Let the server have booted before or after its version.info files were written, as it was."""
        written = [entry["changed"] for path, entry in files.items() if path.endswith("/version.info")]
        booted = _boot_time(files)
        is_later = bool(booted and written) and max(written) > booted
        (self._root / "proc").mkdir(exist_ok=True)
        (self._root / "proc/stat").write_text(f"btime {0 if is_later else int(time.time()) + 3600}\n")


def load_captures(folder: Path) -> dict[str, Any]:
    """Return the captures of a folder, by the names of their files."""
    return {path.stem: json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))}


def _boot_time(files: Mapping[str, Any]) -> float | None:
    lines = files.get("/proc/stat", {"text": ""})["text"].splitlines()
    return next((float(line.split()[1]) for line in lines if line.startswith("btime ")), None)
