# SPDX-License-Identifier: Apache-2.0
"""Control side of the module resumable_copy: cuts the file into slices and sends those that are not there yet.

Three commands on the host, whatever the size: is the file there, which slices are, and the assembly. Between them one
put a missing slice. The slices wait where the user who logs in may write; only the assembly needs root.
"""

from __future__ import annotations

import hashlib
import shlex
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible import constants  # type: ignore[attr-defined] # the stubs beside it are of module_utils alone
from ansible.errors import AnsibleActionFail, AnsibleConnectionFailure, AnsibleError
from ansible.plugins.action import ActionBase

SLICE_BYTES = 8 * 1024 * 1024
SMALLEST_SLICE = 64 * 1024


@dataclass(frozen=True)
class Slice:
    """A piece of the file: its name on the host, where it starts, its bytes and their SHA-256."""

    name: str
    offset: int
    length: int
    sha256: str


@dataclass(frozen=True)
class Source:
    """The file on the control side."""

    path: Path
    size: int
    sha256: str
    slices: tuple[Slice, ...]


@dataclass(frozen=True)
class Waiting:
    """The folder of slices on the host: its path, free bytes, and name → SHA-256 of what is in it."""

    folder: str
    free: int
    found: dict[str, str]


def read_source(path: Path, slice_bytes: int) -> Source:
    """Return the file with its slices, reading it once. Raises OSError."""
    whole, offset = hashlib.sha256(), 0
    slices: list[Slice] = []
    with path.open("rb") as stream:
        for piece in iter(lambda: stream.read(slice_bytes), b""):
            whole.update(piece)
            checksum = hashlib.sha256(piece).hexdigest()
            slices.append(Slice(f"slice-{len(slices):05d}", offset, len(piece), checksum))
            offset += len(piece)
    return Source(path=path, size=offset, sha256=whole.hexdigest(), slices=tuple(slices))


def missing_slices(source: Source, found: dict[str, str]) -> list[Slice]:
    """Return the slices that have to be sent; `found` is name → SHA-256 on the host."""
    return [piece for piece in source.slices if found.get(piece.name) != piece.sha256]


def open_command(remote_tmp: str, name: str) -> str:
    """Return the shell command that makes the folder of slices, then tells its path, free KiB and checksums."""
    home, _, below = remote_tmp.partition("/")
    root = f'"$HOME"/{shlex.quote(below)}' if home == "~" else shlex.quote(remote_tmp)
    folder = f"{root}/resumable_copy/{shlex.quote(name)}"
    steps = [f"umask 077; mkdir -p -- {folder}", f"cd -- {folder}", "pwd -P", "df -Pk . | tail -n 1"]
    return " && ".join(steps) + " && { sha256sum -- slice-* 2>/dev/null || true; }"


def parse_waiting(text: str) -> Waiting:
    """Return what the command said."""
    folder, disk, *sums = text.strip().splitlines()
    # file system, KiB, used, available, percent, mounted on
    free = int(disk.split()[3]) * 1024
    pairs = (line.split(None, 1) for line in sums)
    found = {name: checksum for checksum, name in pairs}
    return Waiting(folder=folder.strip(), free=free, found=found)


class ActionModule(ActionBase):
    TRANSFERS_FILES = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        task_vars = task_vars or {}
        source = self._source()
        args: dict[str, Any] = {**self._task.args, "size": source.size}
        looked: dict[str, Any] = self._execute_module("resumable_copy", module_args=args, task_vars=task_vars)
        if looked.get("failed") or not looked.pop("missing", False) or self._task.check_mode:
            return looked
        waiting = self._open(source, task_vars["inventory_hostname"])
        missing = missing_slices(source, waiting.found)
        sent = sum(piece.length for piece in missing)
        if sent > waiting.free:
            raise AnsibleActionFail(f"no space in {waiting.folder}: {sent} bytes are needed, {waiting.free} are free")
        try:
            self._send(source, missing, waiting.folder)
        except AnsibleConnectionFailure:
            raise
        except AnsibleError:
            # Another run that copies the same file removes the slices of both when it has the file whole.
            again: dict[str, Any] = self._execute_module("resumable_copy", module_args=args, task_vars=task_vars)
            if again.get("failed") or again.pop("missing", True):
                raise
            return again
        args["slices"] = [f"{waiting.folder}/{piece.name}" for piece in source.slices]
        done = self._execute_module("resumable_copy", module_args=args, task_vars=task_vars)
        return {**done, "diff": looked.get("diff"), "sent_bytes": sent, "kept_bytes": source.size - sent}

    def _source(self) -> Source:
        """Return the file, which must be what the task says. Raises AnsibleActionFail."""
        path = Path(self._task.args.get("src") or "").expanduser()
        slice_bytes = int(self._task.args.get("slice_bytes", SLICE_BYTES))
        if slice_bytes < SMALLEST_SLICE:
            raise AnsibleActionFail(f"slice_bytes is {slice_bytes}: at least {SMALLEST_SLICE}")
        try:
            source = read_source(path, slice_bytes)
        except OSError as error:
            raise AnsibleActionFail(f"{path} can't be read: {error.strerror}") from error
        if source.sha256 != self._task.args.get("sha256") or not source.size:
            expected = self._task.args.get("sha256")
            raise AnsibleActionFail(f"{path} has {source.size} bytes and sha256 {source.sha256}, expected {expected}")
        return source

    def _open(self, source: Source, host: str) -> Waiting:
        """Return the host's folder of slices. Raises AnsibleActionFail.

        Its name has the host's, as home folders may be shared.
        """
        name = f"{host}-{source.sha256[:16]}-{len(source.slices)}"
        command = open_command(self.get_shell_option("remote_tmp", default="~/.ansible/tmp"), name)
        done = self._low_level_execute_command(command, sudoable=False)
        if done["rc"] != 0:
            said = done["stderr"].strip() or done["stdout"].strip()
            raise AnsibleActionFail(f"the slices have no place below remote_tmp: {said}")
        return parse_waiting(done["stdout"])

    def _send(self, source: Source, missing: list[Slice], folder: str) -> None:
        """Put the slices, one after the other; a file of one slice goes as it is."""
        for piece in missing:
            if piece.length == source.size:
                self._transfer_file(str(source.path), f"{folder}/{piece.name}")
                continue
            with tempfile.NamedTemporaryFile(dir=constants.DEFAULT_LOCAL_TMP) as cut, source.path.open("rb") as stream:
                stream.seek(piece.offset)
                cut.write(stream.read(piece.length))
                cut.flush()
                self._transfer_file(cut.name, f"{folder}/{piece.name}")
