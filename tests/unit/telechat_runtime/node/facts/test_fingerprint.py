# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import os
from pathlib import Path

import pytest

from telechat_runtime.node.facts import fingerprint as module
from telechat_runtime.node.facts.fingerprint import fingerprint

MIB = 1 << 20


def test_a_change_at_either_end_of_a_file_shows(tmp_path: Path) -> None:
    file = tmp_path / "model.ckpt"
    prints = []
    for begin, end in ((b"a", b"z"), (b"b", b"z"), (b"a", b"y")):
        file.write_bytes(begin + bytes(3 * MIB) + end)
        prints.append(fingerprint(str(file)))
    assert len({found["sample"] for found in prints}) == 3
    assert {found["listing"] for found in prints} == {prints[0]["listing"]}
    assert (prints[0]["files"], prints[0]["bytes"], prints[0]["complete"]) == (1, 3 * MIB + 2, True)


def test_a_file_more_or_of_another_size_shows_in_the_listing(tmp_path: Path) -> None:
    for number in range(20):
        (tmp_path / f"part{number:02}").write_bytes(b"x")
    before = fingerprint(str(tmp_path))
    (tmp_path / "part01").write_bytes(b"xx")
    sized = fingerprint(str(tmp_path))
    (tmp_path / "part20").write_bytes(b"x")
    more = fingerprint(str(tmp_path))
    assert len({before["listing"], sized["listing"], more["listing"]}) == 3


def test_the_time_of_change_is_no_part_of_the_sums(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x")
    before = fingerprint(str(tmp_path))
    os.utime(tmp_path / "a", (1, 1))
    after = fingerprint(str(tmp_path))
    assert {**before, "changed": 1} == after


def test_a_manifest_speaks_for_the_dataset(tmp_path: Path) -> None:
    (tmp_path / "data").write_bytes(b"x")
    (tmp_path / "dataset.json").write_text("{}")
    before = fingerprint(str(tmp_path))
    (tmp_path / "data").write_bytes(b"y")
    assert fingerprint(str(tmp_path))["sample"] == before["sample"]
    (tmp_path / "dataset.json").write_text("[]")
    assert fingerprint(str(tmp_path))["sample"] != before["sample"]
    assert before["by"] == "dataset.json"


def test_a_folder_of_too_many_files_is_not_called_complete(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_FILES", 2)
    for name in ("a", "b", "c"):
        (tmp_path / name).touch()
    found = fingerprint(str(tmp_path))
    assert (found["files"], found["complete"]) == (2, False)


def test_a_path_that_is_not_there(tmp_path: Path) -> None:
    assert fingerprint(f"{tmp_path}/no") == {"path": f"{tmp_path}/no", "error": "No such file or directory"}
