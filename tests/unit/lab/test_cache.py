# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import threading
from pathlib import Path

import pytest

from lab.artifacts import wanted
from lab.cache import Entry, ensure, ensure_all
from lab.errors import LabError


def quiet(_line: str) -> None:
    pass


def writes(text: str) -> Entry:
    return Entry(name="thing", ingredients=(text,), build=lambda folder, _: (folder / "text").write_text(text) and None)


def test_a_thing_is_made_once(tmp_path: Path) -> None:
    calls = []
    entry = Entry(name="thing", ingredients=(1,), build=lambda folder, _: calls.append(folder))
    first = ensure(tmp_path, entry, quiet)
    assert ensure(tmp_path, entry, quiet) == first
    assert len(calls) == 1


def test_other_ingredients_are_another_thing_beside_the_first(tmp_path: Path) -> None:
    one, two = ensure(tmp_path, writes("one"), quiet), ensure(tmp_path, writes("two"), quiet)
    assert (one / "text").read_text() == "one"
    assert (two / "text").read_text() == "two"


def test_what_a_thing_stands_on_is_part_of_its_name() -> None:
    above = [Entry(name="above", ingredients=(), build=lambda *_: None, needs=(writes(text),)) for text in "ab"]
    assert above[0].digest != above[1].digest


def test_a_thing_gets_what_it_needs(tmp_path: Path) -> None:
    def build(folder: Path, needs: dict[str, Path]) -> None:
        (folder / "copy").write_text((needs["thing"] / "text").read_text())

    above = Entry(name="above", ingredients=(), build=build, needs=(writes("below"),))
    assert (ensure(tmp_path, above, quiet) / "copy").read_text() == "below"


def test_a_failed_builder_leaves_nothing_and_the_next_one_tries_again(tmp_path: Path) -> None:
    def fail(folder: Path, _needs: dict[str, Path]) -> None:
        (folder / "half").touch()
        raise LabError("no network")

    with pytest.raises(LabError, match="no network"):
        ensure(tmp_path, Entry(name="thing", ingredients=("x",), build=fail), quiet)
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == []
    assert (ensure(tmp_path, writes("x"), quiet) / "text").exists()


def test_what_a_killed_builder_left_is_cleared_away(tmp_path: Path) -> None:
    left = tmp_path / ".thing-0123456789ab.part"
    left.mkdir()
    (left / "half").touch()
    ensure(tmp_path, writes("x"), quiet)
    assert not left.exists()


def test_two_builders_make_one_thing(tmp_path: Path) -> None:
    calls: list[Path] = []
    inside, leave = threading.Event(), threading.Event()

    def build(folder: Path, _needs: dict[str, Path]) -> None:
        calls.append(folder)
        inside.set()
        leave.wait(5)

    entry = Entry(name="thing", ingredients=(), build=build)
    builders = [threading.Thread(target=ensure, args=(tmp_path, entry, quiet)) for _ in range(2)]
    for builder in builders:
        builder.start()
    assert inside.wait(5)
    leave.set()
    for builder in builders:
        builder.join()
    assert len(calls) == 1


def test_all_builders_end_before_the_first_failure_is_told(tmp_path: Path) -> None:
    def fail(_folder: Path, _needs: dict[str, Path]) -> None:
        raise LabError("broken")

    other = Entry(name="other", ingredients=(), build=lambda folder, _: (folder / "done").touch())
    with pytest.raises(LabError, match="broken"):
        ensure_all(tmp_path, [Entry(name="thing", ingredients=(), build=fail), other], quiet)
    assert (other.path(tmp_path) / "done").exists()


def test_the_lab_without_mindspore_needs_neither_it_nor_what_is_made_with_it() -> None:
    names = {entry.name for entry in wanted(with_mindspore=False)}
    assert {"base", "apt", "image", "hdk"} == names
    assert {"mindspore"} < {entry.name for entry in wanted(with_mindspore=True)} - names | {"workload"}
