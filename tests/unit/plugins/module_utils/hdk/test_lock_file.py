# SPDX-License-Identifier: Apache-2.0
import pytest
from ansible.module_utils.hdk.lock import LockError
from ansible.module_utils.hdk.lock_file import read_lock, write_lock


@pytest.mark.parametrize(
    ("content", "value"),
    [
        (b"packages:\n  - name: [\n", "line 3 is no YAML"),
        (b"\xff\xfe\x00x", "is no "),
        (b"", "has no list packages"),
    ],
)
def test_a_file_that_cannot_be_read(tmp_path, content, value):
    path = tmp_path / "hdk.lock.yml"
    path.write_bytes(content)
    with pytest.raises(LockError) as caught:
        read_lock(str(path))
    assert value in str(caught.value)
    assert "playbooks/hdk_lock.yml" in caught.value.problems[0].next_step


def test_a_missing_file_names_the_earlier_one_that_is_there(tmp_path):
    path = str(tmp_path / "hdk.lock.yml")
    with pytest.raises(LockError, match=r"No such file or directory$"):
        read_lock(path)
    (tmp_path / "packages.lock.yml").touch()
    with pytest.raises(LockError, match=r"there is packages\.lock\.yml, which hdk\.lock\.yml replaces"):
        read_lock(path)


def test_it_is_written_in_one_step_for_all_to_read(tmp_path):
    path = tmp_path / "hdk.lock.yml"
    write_lock(str(path), "packages: []\n")
    assert path.read_text() == "packages: []\n"
    assert path.stat().st_mode & 0o777 == 0o644
    assert [entry.name for entry in tmp_path.iterdir()] == ["hdk.lock.yml"]


def test_nothing_is_left_when_it_cannot_be_written(tmp_path):
    (tmp_path / "hdk.lock.yml").mkdir()
    with pytest.raises(OSError, match="directory"):
        write_lock(str(tmp_path / "hdk.lock.yml"), "")
    assert [entry.name for entry in tmp_path.iterdir()] == ["hdk.lock.yml"]
