# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import fcntl
import json
import threading
from pathlib import Path

import pytest

from telechat_runtime.ascend import lease_file
from telechat_runtime.ascend.lease_file import LeaseLook, holder, look

RECORD = {"job_id": "20260101-1", "owner": "lin", "since": "10:00"}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "lease.json"


@pytest.mark.parametrize(
    ("text", "held", "described"),
    [
        (json.dumps(RECORD), RECORD, "job 20260101-1 of lin since 10:00"),
        ('{"job_id": "7"}', {"job_id": "7"}, "job 7 of an unknown owner since an unknown time"),
        *((text, {}, "a job whose lease can't be read") for text in ("{}", "", "[1]", "\udcff")),
    ],
)
def test_a_locked_lease_has_a_holder(
    text: str, held: dict[str, str], described: str, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease_file, "_WRITE_SECONDS", 0.0)
    path.write_bytes(text.encode(errors="surrogateescape"))
    with path.open() as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        assert look(str(path)) == LeaseLook(held=held, stale=None)
        assert holder(str(path.parent)) == described


def test_a_holder_that_has_not_written_its_record_yet_is_waited_for(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path.touch()
    waits = threading.Event()
    monkeypatch.setattr(lease_file.time, "sleep", lambda _: (path.write_text(json.dumps(RECORD)), waits.set()))
    with path.open() as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        assert look(str(path)).held == RECORD
    assert waits.is_set()


def test_the_record_of_an_ended_job_is_no_holders(path: Path) -> None:
    path.write_text(json.dumps(RECORD))
    assert look(str(path)) == LeaseLook(held=None, stale=RECORD)
    assert holder(str(path.parent)) is None


@pytest.mark.parametrize("root", ["nothing", "file"])
def test_without_a_lease_there_is_no_holder(root: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert look(str(tmp_path / root / "lease.json")) == LeaseLook(held=None, stale=None)
    assert holder(str(tmp_path / root)) is None


def test_a_lease_that_cannot_be_opened_does_not_make_a_node_free(path: Path) -> None:
    path.symlink_to(path)
    with pytest.raises(OSError, match="symbolic links"):
        look(str(path))
    assert holder(str(path.parent)) == "a job whose lease can't be opened (Too many levels of symbolic links)"
