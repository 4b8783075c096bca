# SPDX-License-Identifier: Apache-2.0
"""The record of fleet upgrades on the control side: one folder a campaign, and one campaign at a time.

`events.jsonl` is only ever appended to, a line at a time and synced, by the processes of one control side; everything
else is made of it. A campaign whose record has no end goes on when the same release is asked for again.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import secrets
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Dict, Iterator, List, Optional

from telechat_runtime.ascend.atomic_file import replace_file
from telechat_runtime.ascend.processes import Identity, identify, is_alive
from telechat_runtime.ascend.schema import UPGRADE_PLAYBOOKS, NewerSchemaError, check_schema
from telechat_runtime.errors import PreflightError
from telechat_runtime.upgrade.history import Event, History, history_of, parse_events, stands_for
from telechat_runtime.upgrade.html import render_page
from telechat_runtime.upgrade.report import make_report

_FOLDER_MODE = 0o700
_FILE_MODE = 0o600
_EVENTS = "events.jsonl"
EVENT_SCHEMA = 1
"""Schema number of each event (docs/schemas/README.md)."""


class Record:
    """The record of one campaign."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def campaign(self) -> str:
        """The campaign's id."""
        return self.folder.name

    def add(self, event: str, **values: Any) -> None:
        """Append an event; it is on the disk when this returns."""
        line = json.dumps({"schema": EVENT_SCHEMA, "at": now(), "event": event, **values}) + "\n"
        handle = os.open(self.folder / _EVENTS, os.O_WRONLY | os.O_APPEND | os.O_CREAT, _FILE_MODE)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            os.write(handle, self._after_a_torn_line() + line.encode())
            os.fsync(handle)
        finally:
            os.close(handle)

    def events(self) -> List[Event]:
        """Return all events so far. Raises PreflightError for one that a newer release wrote."""
        path = self.folder / _EVENTS
        try:
            events = parse_events(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return []
        try:
            for event in events:
                check_schema(event, EVENT_SCHEMA, str(path))
        except NewerSchemaError as error:
            raise PreflightError(str(error), next_step=UPGRADE_PLAYBOOKS) from error
        return events

    def history(self) -> History:
        """Return what the events make together."""
        return history_of(self.events())

    def write_report(self) -> Path:
        """Write report.json and report.html anew; return the page's path."""
        report = make_report(self.history())
        page = self.folder / "report.html"
        replace_file(str(self.folder / "report.json"), json.dumps(report, indent=1) + "\n", mode=_FILE_MODE)
        replace_file(str(page), render_page(report), mode=_FILE_MODE)
        return page

    def _after_a_torn_line(self) -> bytes:
        """Return what ends the line that a killed process left unfinished."""
        with (self.folder / _EVENTS).open("rb") as stream:
            if stream.seek(0, os.SEEK_END) == 0:
                return b""
            stream.seek(-1, os.SEEK_END)
            return b"" if stream.read(1) == b"\n" else b"\n"


def open_record(folder: Path, release: str) -> Record:
    """Return the record of the campaign for a release that has not ended, else that of a new one, with its folder."""
    found = unfinished(folder, release)
    if found is not None:
        return found
    name = f"{release}-{datetime.now(timezone.utc):%Y%m%dT%H%M%SZ}-{secrets.token_hex(2)}"
    (folder / name).mkdir(mode=_FOLDER_MODE, parents=True)
    return Record(folder / name)


def unfinished(folder: Path, release: str) -> Optional[Record]:
    """Return the newest campaign for a release that has not ended."""
    for path in sorted(folder.glob(f"{release}-*Z-*"), key=lambda path: path.name, reverse=True):
        record = Record(path)
        if stands_for(record.events()):
            return record
    return None


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[int]:
    path.parent.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)
    handle = os.open(path, os.O_RDWR | os.O_CREAT, _FILE_MODE)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield handle
    finally:
        os.close(handle)


def take_control(folder: Path, controller: int) -> None:
    """Note that this process runs the upgrades of this folder. Raises PreflightError while another one does."""
    with _locked(folder / "controller.json") as handle:
        with contextlib.suppress(ValueError, KeyError, TypeError):
            holder: Dict[str, Any] = json.loads(os.pread(handle, 4096, 0))
            found = Identity(pid=holder["pid"], start=holder["start"])
            if found.pid != controller and is_alive(found):
                raise PreflightError(
                    f"process {found.pid} on this machine runs an upgrade with the record {folder}",
                    next_step="wait for it, or end it; then the same command goes on where it was",
                )
        mine = identify(controller)
        if mine is None:
            raise PreflightError(f"process {controller}, which runs the upgrade, is gone")
        os.ftruncate(handle, 0)
        os.pwrite(handle, json.dumps(mine.as_dict()).encode(), 0)


def now() -> str:
    """Return the time of day in UTC, to the millisecond."""
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")
