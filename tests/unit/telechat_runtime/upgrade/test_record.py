# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
import os
import subprocess
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timezone
from pathlib import Path
from typing import Iterator, List

import pytest

from telechat_runtime.errors import PreflightError
from telechat_runtime.upgrade.record import Record, now, open_record, take_control, unfinished
from tests.support.upgrade_events import CONTROLLER, RELEASE, done, plan


@pytest.fixture
def other() -> Iterator[subprocess.Popen[bytes]]:
    """Return another process that lives."""
    with subprocess.Popen(["sleep", "600"]) as process:
        yield process
        process.kill()


def begun(folder: Path, release: str = RELEASE) -> Record:
    record = open_record(folder, release)
    record.add(**{**CONTROLLER, "campaign": record.campaign, "release": release})
    return record


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def hosts_told(record: Record) -> List[str]:
    return [event["host"] for event in record.events()]


def test_what_was_added_is_read_back_in_order(record: Record) -> None:
    assert record.events() == []
    record.add("out", host="n0")
    record.add("outcome", host="n0", outcome="failed", reason="ж\n\u2028{")
    first, second = record.events()
    assert first == {"schema": 1, "event": "out", "host": "n0", "at": first["at"]}
    assert second["reason"] == "ж\n\u2028{"
    assert Record(record.folder).history().hosts["n0"].outcome == "failed"


def test_an_event_is_on_the_disk_when_it_was_added(record: Record, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: List[Path] = []
    monkeypatch.setattr(os, "fsync", lambda handle: synced.append(Path(f"/proc/self/fd/{handle}").readlink()))
    record.add("out", host="n0")
    assert synced == [record.folder / "events.jsonl"]
    assert hosts_told(record) == ["n0"]


def test_an_event_that_was_cut_off_costs_no_other(record: Record) -> None:
    record.add("out", host="n0")
    path = record.folder / "events.jsonl"
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole + whole[:length])
        record.add("out", host="n1")
        assert hosts_told(record)[:1] + hosts_told(record)[-1:] == ["n0", "n1"]
        # Without its line end alone the event is whole.
        assert len(record.events()) == (3 if length == len(whole) - 1 else 2)


def test_events_that_are_added_at_once_are_all_whole(record: Record) -> None:
    names = [f"n{number}" for number in range(64)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda name: Record(record.folder).add("out", host=name, why="x" * 5000), names))
    assert sorted(hosts_told(record)) == sorted(names)


def test_only_its_owner_may_read_a_record(tmp_path: Path) -> None:
    folder = tmp_path / "upgrades"
    take_control(folder, os.getpid())
    record = begun(folder)
    record.write_report()
    assert {mode(folder), mode(record.folder)} == {0o700}
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert {path.name for path in files} == {"controller.json", "events.jsonl", "report.json", "report.html"}
    assert {mode(path) for path in files} == {0o600}


def test_a_campaign_goes_on_until_it_has_ended(tmp_path: Path) -> None:
    assert unfinished(tmp_path, RELEASE) is None
    first = begun(tmp_path)
    assert first.campaign.startswith(f"{RELEASE}-2")
    assert open_record(tmp_path, RELEASE).folder == first.folder
    first.add("end", because="enough")
    assert unfinished(tmp_path, RELEASE) is None
    second = begun(tmp_path)
    assert second.folder != first.folder
    assert open_record(tmp_path, RELEASE).folder == second.folder


@pytest.mark.parametrize("release", ["24.1.rc2", "24.1", "24.1.rc3.1", "rollback"])
def test_the_campaign_of_another_release_does_not_go_on(tmp_path: Path, release: str) -> None:
    record = begun(tmp_path)
    assert unfinished(tmp_path, release) is None
    assert begun(tmp_path, release).folder != record.folder
    assert open_record(tmp_path, RELEASE).folder == record.folder


def test_a_folder_without_an_event_is_no_campaign(tmp_path: Path) -> None:
    assert open_record(tmp_path, RELEASE).folder.is_dir()
    assert unfinished(tmp_path, RELEASE) is None


def test_while_another_process_runs_it_nobody_else_may(tmp_path: Path, other: subprocess.Popen[bytes]) -> None:
    take_control(tmp_path, other.pid)
    with pytest.raises(PreflightError) as caught:
        take_control(tmp_path, os.getpid())
    assert caught.value.message == f"process {other.pid} on this machine runs an upgrade with the record {tmp_path}"
    assert "the same command goes on where it was" in caught.value.next_step
    take_control(tmp_path, other.pid)
    other.kill()
    other.wait()
    take_control(tmp_path, os.getpid())
    assert json.loads((tmp_path / "controller.json").read_text(encoding="utf-8"))["pid"] == os.getpid()


def test_a_process_that_has_the_number_of_a_dead_one_does_not_hold_it(
    tmp_path: Path, other: subprocess.Popen[bytes]
) -> None:
    (tmp_path / "controller.json").write_text(json.dumps({"pid": other.pid, "start": 1}), encoding="utf-8")
    take_control(tmp_path, os.getpid())


@pytest.mark.parametrize("text", ["", "{", "[]", "7", '{"pid": 1}', '{"pid": 1234567890123, "start": 1, "more": 2}'])
def test_a_holder_that_can_not_be_read_does_not_hold_it(tmp_path: Path, text: str) -> None:
    (tmp_path / "controller.json").write_text(text, encoding="utf-8")
    take_control(tmp_path, os.getpid())
    take_control(tmp_path, os.getpid())
    assert json.loads((tmp_path / "controller.json").read_text(encoding="utf-8"))["pid"] == os.getpid()


def test_a_process_that_is_gone_can_not_run_it(tmp_path: Path, other: subprocess.Popen[bytes]) -> None:
    other.kill()
    other.wait()
    with pytest.raises(PreflightError, match=f"process {other.pid}, which runs the upgrade, is gone"):
        take_control(tmp_path, other.pid)


def test_the_report_is_written_anew_each_time(tmp_path: Path) -> None:
    record = begun(tmp_path)
    record.add(**plan("n0", "<n1>"))
    record.write_report()
    for event in done("n0"):
        record.add(**event)
    page = record.write_report()
    report = json.loads((record.folder / "report.json").read_text(encoding="utf-8"))
    assert (report["campaign"], report["state"]) == (record.campaign, "running")
    assert [(host["name"], host["outcome"]) for host in report["hosts"]] == [("n0", "done"), ("<n1>", "planned")]
    assert page == record.folder / "report.html"
    assert sorted(path.name for path in record.folder.iterdir()) == ["events.jsonl", "report.html", "report.json"]


def test_now_is_utc_to_the_millisecond() -> None:
    before = datetime.now(timezone.utc)
    text = now()
    assert text.endswith("Z")
    assert len(text) == len("2026-01-01T00:00:00.000Z")
    read = datetime.fromisoformat(text.replace("Z", "+00:00"))
    assert read.utcoffset() == timezone.utc.utcoffset(None)
    assert (read - before).total_seconds() >= -0.001


def test_the_record_of_a_newer_release_is_refused(tmp_path: Path) -> None:
    record = begun(tmp_path)
    path = record.folder / "events.jsonl"
    path.write_text(path.read_text() + '{"schema": 99, "at": "2026-01-01T00:00:00.000Z", "event": "end"}\n')
    for use in (record.history, record.write_report, lambda: unfinished(tmp_path, RELEASE)):
        with pytest.raises(PreflightError, match=rf"{path} has schema 99, and schemas up to 1 are known here") as error:
            use()
        assert error.value.next_step == "use that release on the control machine too"
