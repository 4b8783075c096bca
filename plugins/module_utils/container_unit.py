# SPDX-License-Identifier: Apache-2.0
"""The unit of systemd that starts the container when Docker could not, as the NPUs came late at boot.

Docker starts its containers as soon as it runs, and does not try again when a device or a mount is not there yet; the
driver's start may take minutes (its script waits up to 580 s for the chips). What somebody has stopped stays so:
Docker has no error for that.
"""

from __future__ import annotations

import os
from typing import Any, Dict, List

from ansible.module_utils.ascend.atomic_file import READABLE, replace_file
from ansible.module_utils.command_result import Run
from ansible.module_utils.docker_objects import last_line

UNIT = "telechat-container.service"
UNIT_PATH = f"/etc/systemd/system/{UNIT}"
SCRIPT_PATH = "/usr/local/lib/telechat/start-container"
_LINK = f"/etc/systemd/system/multi-user.target.wants/{UNIT}"
_SYSTEMD = "/run/systemd/system"

_SCRIPT = """#!/bin/sh
# Start a container that Docker could not start at boot, once its devices and mounts are there: start-container CLI NAME
# [SECONDS between two tries]. A container that is gone, or that somebody has stopped, is left alone.
cli=$1 name=$2 pause=${3:-2}
while :; do
  state=$("$cli" inspect --type container --format '{{.State.Running}} {{.State.Error}}' "$name" 2>&1)
  case $state in
    true*) exit 0 ;;
    *[Nn]"o such container"*) exit 0 ;;
    "false ") exit 0 ;;
    "false "*) "$cli" start "$name" >/dev/null && exit 0 ;;
  esac
  sleep "$pause"
done
"""

_UNIT_TEXT = """[Unit]
Description=Start the container {name} when Docker could not, once the NPUs are there
After={service}.service remote-fs.target

[Service]
# Not a oneshot: the boot does not wait for the chips.
Type=simple
ExecStart={script} {cli} {name}
RuntimeMaxSec=1800

[Install]
WantedBy=multi-user.target
"""


class UnitError(Exception):
    """systemd does not take the unit; the text is its reason."""


def wanted(wish: Dict[str, Any]) -> Dict[str, str]:
    """Return path → text of the unit for the container of this wish, and of what it runs."""
    unit = _UNIT_TEXT.format(
        cli=wish["cli"], service=wish.get("service", "docker"), name=wish["container_name"], script=SCRIPT_PATH
    )
    return {SCRIPT_PATH: _SCRIPT, UNIT_PATH: unit}


def stale(files: Dict[str, str], root: str = "/") -> List[str]:
    """Return the paths that are missing or differ; none on a host that systemd has not booted."""
    if not os.path.isdir(_below(root, _SYSTEMD)):
        return []
    differing = [path for path, text in files.items() if _read(_below(root, path)) != text]
    return differing if os.path.islink(_below(root, _LINK)) else [*differing, _LINK]


def install(files: Dict[str, str], run: Run, root: str = "/") -> None:
    """Write the files and have the unit started at each boot. Raises UnitError."""
    for path, text in files.items():
        target = _below(root, path)
        os.makedirs(os.path.dirname(target), mode=0o755, exist_ok=True)
        replace_file(target, text, mode=0o755 if path == SCRIPT_PATH else READABLE)
    for argv in (["systemctl", "daemon-reload"], ["systemctl", "enable", UNIT]):
        answer = run(argv)
        if answer.rc != 0:
            raise UnitError(f"{' '.join(argv)} ended with {answer.rc}: {last_line(answer.stderr)}")


def _below(root: str, path: str) -> str:
    return os.path.join(root, path.lstrip("/"))


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as stream:
            return stream.read()
    except OSError:
        return ""
