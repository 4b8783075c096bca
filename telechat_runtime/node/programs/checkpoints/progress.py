# SPDX-License-Identifier: Apache-2.0
"""What of a conversion is done: `conversion.json` beside the rank folders, so that the next run goes on from there."""

from __future__ import annotations

import json
import os
import shutil
from typing import Any, Dict

from telechat_runtime.node.programs.checkpoints.conversion import ConversionError, rank_file

NAME = "conversion.json"
PART = ".part-"


class Progress:
    """The finished files of one conversion; `fingerprint` says of which."""

    def __init__(self, folder: str, fingerprint: str) -> None:
        """Open the folder's record. Raises ConversionError when something else lies there."""
        self.folder = folder
        self._path = os.path.join(folder, NAME)
        self._document: Dict[str, Any] = {"fingerprint": fingerprint, "complete": False, "bytes": {}}
        found = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
        if NAME in found:
            self._document = _read(self._path)
        elif found:
            raise ConversionError(f"{folder} holds {', '.join(found[:3])}, but is no conversion: give another --output")
        if self._document["fingerprint"] != fingerprint:
            raise ConversionError(
                f"{folder} holds a conversion of other files or another strategy: remove it, or give another --output"
            )

    def is_done(self, rank: int) -> bool:
        """Tell whether the file of a rank is recorded, and still there with the size that it had."""
        size = self._document["bytes"].get(str(rank))
        try:
            return size is not None and os.stat(rank_file(self.folder, rank)).st_size == size
        except OSError:
            return False

    def record(self, rank: int) -> None:
        """Note that the file of a rank stands."""
        self._document["bytes"][str(rank)] = os.stat(rank_file(self.folder, rank)).st_size
        self._write()

    def complete(self) -> int:
        """Note that all of it was verified; return the bytes of all files."""
        self._document["complete"] = True
        self._write()
        return sum(self._document["bytes"].values())

    def _write(self) -> None:
        os.makedirs(self.folder, exist_ok=True)
        fresh = os.path.join(self.folder, PART + NAME)
        with open(fresh, "w", encoding="utf-8") as file:
            json.dump(self._document, file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        os.replace(fresh, self._path)


def _read(path: str) -> Dict[str, Any]:
    try:
        with open(path, encoding="utf-8") as file:
            document = json.load(file)
    except (OSError, ValueError) as error:
        raise ConversionError(f"{path} can't be read ({error}): remove it with the files beside it") from error
    if not (isinstance(document, dict) and isinstance(document.get("bytes"), dict) and "fingerprint" in document):
        raise ConversionError(f"{path} is no record of a conversion: give another --output")
    return document


def remove_parts(folder: str) -> None:
    """Remove what an interrupted run left half-written below a folder that takes results."""
    for where, folders, names in os.walk(folder):
        for name in names:
            if name.startswith(PART):
                os.unlink(os.path.join(where, name))
        for name in [name for name in folders if name.startswith(PART)]:
            shutil.rmtree(os.path.join(where, name))
            folders.remove(name)
