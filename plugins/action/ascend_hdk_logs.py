# SPDX-License-Identifier: Apache-2.0
"""Control side of the module ascend_hdk_logs: unpacks what the server's end of it has sent."""

from __future__ import annotations

import base64
import io
import os
import tarfile
from pathlib import Path, PurePosixPath
from typing import Any

from ansible.plugins.action import ActionBase

# Logs of root are for whoever runs the playbook, and nobody else.
_FOLDER_MODE = 0o700
_FILE_MODE = 0o600


class ActionModule(ActionBase):
    TRANSFERS_FILES = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        result: dict[str, Any] = self._execute_module(
            module_name="ascend_hdk_logs", module_args=dict(self._task.args), task_vars=task_vars
        )
        content = result.pop("content", None)
        if content is None or self._task.check_mode:
            return result
        dest = Path(self._task.args["dest"]).expanduser().resolve()
        try:
            unpack(base64.b64decode(content), dest)
        except (OSError, tarfile.TarError) as error:
            return {"failed": True, "msg": f"{dest}: {error}"}
        return {**result, "dest": str(dest)}


def unpack(archive: bytes, dest: Path) -> None:
    """Write the archive's files below dest. Raises tarfile.TarError for a name that leads out of it."""
    dest.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)
    with tarfile.open(fileobj=io.BytesIO(archive), mode="r:gz") as tar:
        for member in tar:
            name = PurePosixPath(member.name)
            content = tar.extractfile(member) if member.isfile() else None
            if content is None or name.is_absolute() or ".." in name.parts:
                raise tarfile.TarError(f"the server sent {member.name!r}, which is no file below it")
            path = dest / name
            path.parent.mkdir(parents=True, exist_ok=True)
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, _FILE_MODE)
            with os.fdopen(handle, "wb") as sink:
                sink.write(content.read())
