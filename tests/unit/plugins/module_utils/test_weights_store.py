# SPDX-License-Identifier: Apache-2.0
import os

import pytest
from ansible.module_utils.weights_store import (
    WeightsListError,
    lacking,
    needed_bytes,
    parse_entry,
    parse_list,
    part_path,
    write_record,
)

SHA256 = "ab" * 32


def entry(**changes):
    return {"name": "a.ckpt", "url": "http://192.0.2.1/a.ckpt", "sha256": SHA256, "size": 3, **changes}


@pytest.mark.parametrize(
    ("changes", "unpack", "dest"),
    [
        ({}, "none", "a.ckpt"),
        ({"name": "TeleChat2-35B_ms.tar"}, "tar", "TeleChat2-35B_ms"),
        ({"name": "a.tar.gz"}, "tar", "a"),
        ({"name": "Telechat_115B.zip"}, "zip", "Telechat_115B"),
        ({"name": "a.tar", "unpack": "none"}, "none", "a.tar"),
        ({"name": "weights", "unpack": "tar"}, "tar", "weights.unpacked"),
        ({"dest": "7b/a.ckpt"}, "none", "7b/a.ckpt"),
    ],
)
def test_entry(changes, unpack, dest):
    item = parse_entry(entry(**changes))
    assert (item.unpack, item.dest) == (unpack, dest)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "a/b"}, "'a/b': the name must be a plain file name"),
        ({"name": ""}, "plain file name"),
        ({"name": ".."}, "plain file name"),
        ({"name": ".telechat"}, "plain file name"),
        ({"path": "/a"}, "either url or path"),
        ({"url": ""}, "either url or path"),
        ({"url": "ftp://192.0.2.1/a"}, "no http or https address"),
        ({"url": None, "path": "a.ckpt"}, "must be absolute"),
        ({"sha256": "abc"}, "sha256 'abc' is not 64 hex digits"),
        ({"size": 0}, "size must be its length in bytes, not 0"),
        ({"unpack": "rar"}, "unpack must be auto, none, tar or zip, not 'rar'"),
        ({"dest": "/etc/x"}, "must stay below"),
        ({"dest": "a/../../x"}, "must stay below"),
        ({"dest": "."}, "must stay below"),
        ({"dest": ".telechat/x"}, "must stay below"),
    ],
)
def test_wrong_entry(changes, message):
    with pytest.raises(WeightsListError, match=message):
        parse_entry(entry(**changes))


@pytest.mark.parametrize("second", [entry(), entry(name="b.ckpt", dest="a.ckpt")])
def test_two_of_one_place(second):
    with pytest.raises(WeightsListError, match="two entries"):
        parse_list([entry(), second])


@pytest.fixture
def stored(tmp_path):
    (tmp_path / ".telechat").mkdir()
    (tmp_path / "a.ckpt").write_bytes(b"abc")
    item = parse_entry(entry())
    write_record(str(tmp_path), item, ["a.ckpt"])
    return tmp_path


def test_recorded_file_is_whole(stored):
    assert lacking(str(stored), parse_entry(entry())) is None


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"sha256": "cd" * 32}, "another version is present"),
        ({"dest": "b"}, "it lies elsewhere"),
        ({"name": "b"}, "not present"),
    ],
)
def test_other_wish_is_lacking(stored, changes, reason):
    assert lacking(str(stored), parse_entry(entry(**changes))) == reason


def test_file_that_was_touched_is_lacking(stored):
    os.utime(stored / "a.ckpt", (1, 1))
    assert lacking(str(stored), parse_entry(entry())) == "a.ckpt was changed or removed"


def test_file_that_was_removed_is_lacking(stored):
    (stored / "a.ckpt").unlink()
    assert lacking(str(stored), parse_entry(entry())) == "a.ckpt was changed or removed"


def test_damaged_record_is_lacking(stored):
    (stored / ".telechat" / "a.ckpt.json").write_text("{")
    assert lacking(str(stored), parse_entry(entry())) == "not present"


def test_what_was_fetched_already_needs_no_room(tmp_path):
    (tmp_path / ".telechat").mkdir()
    plain, archive = parse_entry(entry(size=100)), parse_entry(entry(name="b.tar", size=1000))
    assert needed_bytes(str(tmp_path), [plain, archive]) == 100 + 1000 + 1000
    (tmp_path / ".telechat" / "a.ckpt.part").write_bytes(b"x" * 30)
    assert part_path(str(tmp_path), plain) == str(tmp_path / ".telechat" / "a.ckpt.part")
    assert needed_bytes(str(tmp_path), [plain]) == 70
