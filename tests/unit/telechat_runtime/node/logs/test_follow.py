# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from telechat_runtime.node.logs import follow
from telechat_runtime.node.logs.follow import LogFollower

# Small limits make a chunk's border and the cut of a long line common.
CHUNK, LONGEST = 7, 12
TEXTS = st.lists(st.sampled_from([b"a", b"bc", b"\n", b"\r\n", b"\xff", "中".encode(), "😀".encode(), b"x" * 9])).map(
    b"".join
)


@pytest.fixture(autouse=True)
def small_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(follow, "_CHUNK_BYTES", CHUNK)
    monkeypatch.setattr(follow, "_LONGEST_LINE_BYTES", LONGEST)


def events(folder: Path, *, ranks: Optional[Sequence[int]] = None, last: bool = True) -> List[Dict[str, Any]]:
    return list(LogFollower(str(folder), ranks=ranks, offsets={}).read(last=last))


def lines(found: Sequence[Dict[str, Any]]) -> List[str]:
    return [event["line"] for event in found]


def test_a_line_comes_with_its_log_its_rank_and_where_it_ends(tmp_path: Path) -> None:
    (tmp_path / "worker_12.log").write_bytes(b"one\ntwo")
    first = {"event": "log", "log": "worker_12.log", "rank": 12, "offset": 4, "line": "one"}
    assert events(tmp_path, last=False) == [first]
    assert events(tmp_path) == [first, {**first, "offset": 7, "line": "two"}]


def test_ranks_choose_logs_and_other_files_are_none(tmp_path: Path) -> None:
    for name in ("worker_0.log", "worker_1.log", "worker_10.log", "scheduler.log", "msrun.log", "worker_x.log"):
        (tmp_path / name).write_text(f"{name}\n", encoding="utf-8")
    assert {event["log"] for event in events(tmp_path)} == {"worker_0.log", "worker_1.log", "worker_10.log"}
    assert {event["rank"] for event in events(tmp_path, ranks=[1, 5])} == {1}
    assert events(tmp_path, ranks=[]) == []


def test_no_logs_yet_is_no_error(tmp_path: Path) -> None:
    assert events(tmp_path / "logs") == []


def test_line_ends_of_windows_and_broken_text(tmp_path: Path) -> None:
    (tmp_path / "worker_0.log").write_bytes(b"one\r\n\xff\xfe!\n\r\n")
    assert lines(events(tmp_path)) == ["one", "\ufffd\ufffd!", ""]


def test_a_long_line_comes_in_pieces_that_cut_no_character(tmp_path: Path) -> None:
    (tmp_path / "worker_0.log").write_bytes(("a" + "中" * 9).encode() + b"\nend\n")
    assert lines(events(tmp_path)) == ["a中中中", "中中中中", "中中", "end"]


def test_a_line_that_never_ends_comes_in_pieces_meanwhile(tmp_path: Path) -> None:
    (tmp_path / "worker_0.log").write_bytes(b"0123456789ab" * 2 + b"rest")
    assert lines(events(tmp_path, last=False)) == ["0123456789ab"] * 2


def test_a_long_line_without_an_end_is_not_lost_at_the_end(tmp_path: Path) -> None:
    text = "0123456789" * 10
    (tmp_path / "worker_0.log").write_text(text, encoding="utf-8")
    assert "".join(lines(events(tmp_path))) == text


def test_an_offset_behind_the_end_of_a_log_brings_nothing(tmp_path: Path) -> None:
    (tmp_path / "worker_0.log").write_bytes(b"one\n")
    assert list(LogFollower(str(tmp_path), ranks=None, offsets={"worker_0.log": 99}).read(last=True)) == []


@settings(max_examples=200, deadline=None)
@given(text=TEXTS, data=st.data())
def test_whoever_writes_in_pieces_and_whoever_breaks_off_the_lines_come_once(text: bytes, data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        log = folder / "worker_0.log"
        log.write_bytes(text)
        expected = events(folder)
        log.write_bytes(b"")
        found: List[Dict[str, Any]] = []
        follower = LogFollower(str(folder), ranks=None, offsets={})
        rest = text
        while rest:
            size = data.draw(st.integers(1, len(rest)), label="bytes written")
            with log.open("ab") as file:
                file.write(rest[:size])
            rest = rest[size:]
            new = follower.read()
            if data.draw(st.booleans(), label="the link breaks"):
                # The reader got some of the events; the next one goes on after the last of them.
                got = [event for event, _ in zip(new, range(data.draw(st.integers(0, 2))), strict=False)]
                found += got
                seen = {"worker_0.log": found[-1]["offset"]} if found else {}
                follower = LogFollower(str(folder), ranks=None, offsets=seen)
            else:
                found += new
        found += follower.read(last=True)
        assert found == expected


@given(text=TEXTS)
def test_offsets_are_the_bytes_of_the_log(text: bytes) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "worker_0.log").write_bytes(text)
        found = events(folder)
    offsets = [0, *(event["offset"] for event in found)]
    assert offsets == sorted(set(offsets))
    assert offsets[-1] == len(text)
    for event, begin in zip(found, offsets[:-1], strict=True):
        whole = text[begin : event["offset"]]
        assert event["line"] == whole.removesuffix(b"\n").decode("utf-8", "replace").rstrip("\r")
