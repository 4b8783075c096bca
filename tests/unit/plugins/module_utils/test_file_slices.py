# SPDX-License-Identifier: Apache-2.0
import hashlib
import os
import threading
from pathlib import Path

import pytest
from ansible.module_utils import file_slices
from ansible.module_utils.file_slices import AssemblyError, Target, assemble, check_space, found_sha256

CONTENT = b"first" + b"second" + b"3"


@pytest.fixture
def slices(tmp_path):
    folder = tmp_path / "slices"
    folder.mkdir()
    paths = []
    for number, piece in enumerate((b"first", b"second", b"3")):
        path = folder / f"slice-{number}"
        path.write_bytes(piece)
        paths.append(str(path))
    return paths


@pytest.fixture
def target(tmp_path):
    (tmp_path / "packages").mkdir()
    checksum = hashlib.sha256(CONTENT).hexdigest()
    return Target(path=str(tmp_path / "packages" / "driver.run"), sha256=checksum, size=len(CONTENT), mode=0o700)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_the_slices_become_the_file_and_are_gone(slices, target, tmp_path):
    assemble(slices, target)
    path = tmp_path / "packages" / "driver.run"
    assert path.read_bytes() == CONTENT
    assert path.stat().st_mode & 0o7777 == 0o700
    assert found_sha256(target) == target.sha256
    assert names(tmp_path) == ["packages"]
    assert names(tmp_path / "packages") == ["driver.run"]


def test_an_older_file_is_replaced_only_by_the_whole_one(slices, target, tmp_path):
    (tmp_path / "packages" / "driver.run").write_bytes(b"older")
    (tmp_path / "packages" / "driver.run.part").write_bytes(b"of a run that was killed, and longer than the file")
    with pytest.raises(AssemblyError, match="would have sha256"):
        assemble(slices[:2], target)
    assert (tmp_path / "packages" / "driver.run").read_bytes() == b"older"
    assert names(tmp_path / "packages") == ["driver.run"]
    assert names(tmp_path / "slices") == ["slice-2"]
    assert not Path(slices[0]).exists()


def test_slices_that_cannot_be_read_leave_nothing_half(slices, target, tmp_path):
    Path(slices[1]).unlink()
    with pytest.raises(OSError, match="slice-1"):
        assemble(slices, target)
    assert names(tmp_path / "packages") == []
    assert Path(slices[0]).exists()


def test_another_run_that_was_faster(slices, target):
    assemble(slices, target)
    assemble(slices, target)


def test_two_assemblies_at_once_make_one_whole_file(slices, target, tmp_path, monkeypatch):
    started, go_on, failed = threading.Event(), threading.Event(), []
    join = file_slices._join

    def slow_join(*arguments):
        started.set()
        assert go_on.wait(10)
        return join(*arguments)

    monkeypatch.setattr(file_slices, "_join", slow_join)
    first = threading.Thread(target=assemble, args=(slices, target))
    first.start()
    assert started.wait(10)

    def run():
        try:
            assemble(slices, target)
        except (OSError, AssemblyError) as error:
            failed.append(error)

    second = threading.Thread(target=run)
    second.start()
    go_on.set()
    first.join()
    second.join()
    assert failed == []
    assert (tmp_path / "packages" / "driver.run").read_bytes() == CONTENT
    assert names(tmp_path / "packages") == ["driver.run"]


def test_a_part_that_another_run_takes_away_meanwhile_is_none(target, monkeypatch):
    """Between any two looks at it."""
    stat = os.stat

    def vanishing(path, **options):
        found = stat(path, **options)
        if path == target.part:
            Path(path).unlink()
        return found

    Path(target.part).write_bytes(b"of the other")
    monkeypatch.setattr(file_slices.os, "stat", vanishing)
    check_space(target)
    assert not os.path.lexists(target.part)


def test_no_link_is_followed(slices, target, tmp_path):
    (tmp_path / "secret").write_bytes(b"second")
    Path(slices[1]).unlink()
    Path(slices[1]).symlink_to(tmp_path / "secret")
    with pytest.raises(OSError, match="symbolic links"):
        assemble(slices, target)


def test_a_folder_in_the_files_place(target):
    Path(target.path).mkdir()
    with pytest.raises(AssemblyError, match="is no plain file"):
        found_sha256(target)


def test_nothing_there_has_no_checksum(target):
    assert found_sha256(target) == ""


def test_a_disk_too_small(target, monkeypatch, slices, tmp_path):
    monkeypatch.setattr(file_slices, "free_bytes", lambda _path, **_for: 11)
    with pytest.raises(AssemblyError, match=f"{len(CONTENT)} bytes are needed, 11 are free"):
        assemble(slices, target)
    assert names(tmp_path / "packages") == []
    (tmp_path / "packages" / "driver.run.part").write_bytes(b"x")
    check_space(target)
