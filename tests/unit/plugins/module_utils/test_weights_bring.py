# SPDX-License-Identifier: Apache-2.0
import hashlib
import io
import tarfile

import pytest
from ansible.module_utils.download import ChecksumError, FetchError, Patience
from ansible.module_utils.unpack import UnpackError
from ansible.module_utils.weights_bring import BringError, bring
from ansible.module_utils.weights_store import lacking, parse_entry

PATIENCE = Patience(1.0, 0, lambda _: None)


def checkpoints(**files):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(f"rank_0/{name}.ckpt")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


@pytest.fixture
def entry(tmp_path):
    """Return a function that puts content on the host and makes the list's entry for it."""

    def make(name, content, **changes):
        source = tmp_path / "shared" / name
        source.parent.mkdir(exist_ok=True)
        source.write_bytes(content)
        sha256 = hashlib.sha256(content).hexdigest()
        return parse_entry({"name": name, "path": str(source), "sha256": sha256, "size": len(content), **changes})

    return make


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "data03"
    (made / ".telechat").mkdir(parents=True)
    return made


def run(folder, item):
    bring(str(folder), item, {}, PATIENCE)


def test_file(folder, entry):
    item = entry("a.ckpt", b"abc")
    run(folder, item)
    assert (folder / "a.ckpt").read_bytes() == b"abc"
    assert (folder / "a.ckpt").stat().st_mode & 0o777 == 0o644
    assert lacking(str(folder), item) is None
    assert sorted(path.name for path in (folder / ".telechat").iterdir()) == ["a.ckpt.json"]


def test_file_of_another_hand_is_adopted_without_a_copy(folder, entry):
    item = entry("a.ckpt", b"abc")
    (folder / "a.ckpt").write_bytes(b"abc")
    inode = (folder / "a.ckpt").stat().st_ino
    run(folder, item)
    assert (folder / "a.ckpt").stat().st_ino == inode
    assert lacking(str(folder), item) is None


def test_new_version_replaces_the_old(folder, entry):
    run(folder, entry("a.ckpt", b"abc"))
    run(folder, entry("a.ckpt", b"other"))
    assert (folder / "a.ckpt").read_bytes() == b"other"


def test_old_version_stays_when_the_new_one_is_wrong(folder, entry):
    run(folder, entry("a.ckpt", b"abc"))
    with pytest.raises(ChecksumError):
        run(folder, entry("a.ckpt", b"other", sha256="0" * 64))
    assert (folder / "a.ckpt").read_bytes() == b"abc"


def test_archive_becomes_a_folder(folder, entry):
    item = entry("m.tar", checkpoints(a=b"1", b=b"2"))
    run(folder, item)
    assert (folder / "m" / "rank_0" / "b.ckpt").read_bytes() == b"2"
    assert lacking(str(folder), item) is None
    assert sorted(path.name for path in folder.iterdir()) == [".telechat", "m"]
    assert sorted(path.name for path in (folder / ".telechat").iterdir()) == ["m.tar.json"]


def test_file_lost_from_an_unpacked_archive_is_noticed(folder, entry):
    item = entry("m.tar", checkpoints(a=b"1", b=b"2"))
    run(folder, item)
    (folder / "m" / "rank_0" / "a.ckpt").unlink()
    assert lacking(str(folder), item) == "m/rank_0/a.ckpt was changed or removed"
    run(folder, item)
    assert lacking(str(folder), item) is None


def test_new_archive_replaces_the_folder_as_a_whole(folder, entry):
    run(folder, entry("m.tar", checkpoints(a=b"1")))
    run(folder, entry("m.tar", checkpoints(b=b"2")))
    assert [path.name for path in (folder / "m" / "rank_0").iterdir()] == ["b.ckpt"]


def test_folder_of_another_hand_is_never_replaced(folder, entry):
    (folder / "m").mkdir()
    (folder / "m" / "precious").touch()
    with pytest.raises(BringError, match="was not brought by this role"):
        run(folder, entry("m.tar", checkpoints(a=b"1")))
    assert (folder / "m" / "precious").exists()


def test_archive_that_can_not_be_unpacked_leaves_no_half_folder(folder, entry):
    item = entry("m.tar", b"no archive" * 99)
    with pytest.raises(UnpackError):
        run(folder, item)
    assert not (folder / "m").exists()
    assert lacking(str(folder), item) == "not present"


def test_missing_source(folder, entry):
    item = entry("a.ckpt", b"abc")._replace(path="/nowhere/a.ckpt")
    with pytest.raises(FetchError, match=r"/nowhere/a.ckpt can't be read"):
        run(folder, item)
