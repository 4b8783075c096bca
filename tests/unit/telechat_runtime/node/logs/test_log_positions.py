# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import time
from pathlib import Path
from typing import Iterator, List

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telechat_runtime.node.logs import log_positions
from telechat_runtime.node.logs.follow import LogFollower
from telechat_runtime.node.logs.log_positions import since_position, tail_position

NOON = 1767268800  # 2026-01-01 12:00:00 UTC
FORMS = ("%Y-%m-%d %H:%M:%S,123 - INFO - step", "[WARNING] PS(1,7f,python):%Y-%m-%d-%H:%M:%S.123.456 [ps.cc]")


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(log_positions, "_CHUNK_BYTES", 64)
    monkeypatch.setenv("TZ", "Asia/Shanghai")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def write(path: Path, lines: List[str]) -> List[int]:
    """Write lines and return where each begins."""
    starts = []
    with path.open("wb") as file:
        for line in lines:
            starts.append(file.tell())
            file.write(line.encode() + b"\n")
    return [*starts, path.stat().st_size]


@given(lines=st.lists(st.text("ab中", max_size=90), max_size=12), wanted=st.integers(0, 14))
def test_the_last_lines(tmp_path_factory: pytest.TempPathFactory, lines: List[str], wanted: int) -> None:
    path = tmp_path_factory.mktemp("logs") / "worker_0.log"
    starts = write(path, lines)
    assert tail_position(str(path), wanted) == starts[max(0, len(lines) - wanted)]


def test_a_line_without_an_end_comes_on_top(tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(b"one\ntwo\nthr")
    assert tail_position(str(tmp_path / "log"), 1) == 4


@given(
    steps=st.lists(st.tuples(st.integers(0, 3), st.sampled_from(FORMS), st.integers(0, 2)), max_size=60),
    after=st.integers(-5, 100),
)
def test_what_was_written_since(
    tmp_path_factory: pytest.TempPathFactory, steps: List[tuple[int, str, int]], after: int
) -> None:
    path = tmp_path_factory.mktemp("logs") / "worker_0.log"
    lines, moments, moment = [], [], NOON
    for pause, form, untimed in steps:
        moment += pause
        lines.append(time.strftime(form, time.localtime(moment)))
        lines += ["Traceback"] * untimed
        moments += [moment] + [None] * untimed
    starts = write(path, lines)
    first = next((n for n, each in enumerate(moments) if each is not None and each >= NOON + after), len(lines))
    assert since_position(str(path), NOON + after) == starts[first]


def test_a_follower_skips_once_and_tells_where_it_begins(tmp_path: Path) -> None:
    path = tmp_path / "worker_0.log"
    write(path, ["one", "two", "three"])
    follower = LogFollower(str(tmp_path), ranks=None, offsets={"worker_1.log": 7})
    assert follower.skip(tail=1) == {"worker_0.log": 8, "worker_1.log": 7}
    with path.open("a") as file:
        file.write("four\n")
    (tmp_path / "worker_2.log").write_text("new\n")
    assert [event["line"] for event in follower.read()] == ["three", "four", "new"]
