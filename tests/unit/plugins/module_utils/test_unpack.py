# SPDX-License-Identifier: Apache-2.0
import io
import stat
import tarfile
import zipfile
from pathlib import Path

import pytest
from ansible.module_utils.unpack import UnpackError, safe_name, unpack
from hypothesis import given
from hypothesis import strategies as st


def tar(path, entries, mode="w"):
    with tarfile.open(path, mode) as archive:
        for name, content in entries:
            member = tarfile.TarInfo(name)
            if isinstance(content, bytes):
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
            else:
                member.type, member.linkname = content
                archive.addfile(member)
    return str(path)


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "out" / "in"
    made.mkdir(parents=True)
    return made


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:xz"])
def test_tar(tmp_path, folder, mode):
    archive = tar(tmp_path / "a.tar", [("./rank_0", (tarfile.DIRTYPE, "")), ("./rank_0/a.ckpt", b"abc")], mode)
    assert unpack(archive, "tar", str(folder)) == ["rank_0/a.ckpt"]
    assert (folder / "rank_0" / "a.ckpt").read_bytes() == b"abc"
    assert stat.S_IMODE((folder / "rank_0" / "a.ckpt").stat().st_mode) == 0o644


def test_zip(tmp_path, folder):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("model/", "")
        archive.writestr("model/a.ckpt", b"abc")
    assert unpack(str(tmp_path / "a.zip"), "zip", str(folder)) == ["model/a.ckpt"]
    assert (folder / "model" / "a.ckpt").read_bytes() == b"abc"


@pytest.mark.parametrize("name", ["/etc/passwd", "../x", "a/../../x", "..", "a\\..\\x"])
@pytest.mark.parametrize("kind", ["tar", "zip"])
def test_entry_that_leads_outside(tmp_path, folder, kind, name):
    path = tmp_path / ("a." + kind)
    if kind == "tar":
        tar(path, [(name, b"abc")])
    else:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr(name, b"abc")
    with pytest.raises(UnpackError, match="leads outside"):
        unpack(str(path), kind, str(folder))
    assert list(folder.parent.iterdir()) == [folder]
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(
    "content", [(tarfile.SYMTYPE, "/etc"), (tarfile.LNKTYPE, "../x"), (tarfile.FIFOTYPE, ""), (tarfile.CHRTYPE, "")]
)
def test_tar_entry_that_is_no_file(tmp_path, folder, content):
    with pytest.raises(UnpackError, match="'link' is neither file nor folder"):
        unpack(tar(tmp_path / "a.tar", [("link", content)]), "tar", str(folder))


def test_zip_with_a_link(tmp_path, folder):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        entry = zipfile.ZipInfo("link")
        entry.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(entry, "/etc/passwd")
    with pytest.raises(UnpackError, match="neither file nor folder"):
        unpack(str(tmp_path / "a.zip"), "zip", str(folder))


@pytest.mark.parametrize("kind", ["tar", "zip"])
def test_damaged_archive(tmp_path, folder, kind):
    (tmp_path / "a").write_bytes(b"no archive at all" * 99)
    with pytest.raises(UnpackError, match="can't be unpacked"):
        unpack(str(tmp_path / "a"), kind, str(folder))


def test_truncated_tar(tmp_path, folder):
    archive = tar(tmp_path / "a.tar", [("a.ckpt", b"x" * 50_000)])
    with Path(archive).open("r+b") as stream:
        stream.truncate(20_000)
    with pytest.raises(UnpackError, match="can't be unpacked"):
        unpack(archive, "tar", str(folder))


def test_entry_that_is_there_twice(tmp_path, folder):
    with pytest.raises((UnpackError, FileExistsError)):
        unpack(tar(tmp_path / "a.tar", [("a", b"1"), ("./a", b"2")]), "tar", str(folder))


@given(st.text(alphabet="ab./\\", min_size=1, max_size=12))
def test_safe_names_stay_below(name):
    try:
        plain = safe_name("archive", name)
    except UnpackError:
        return
    assert not plain.startswith("/")
    assert ".." not in plain.split("/")
