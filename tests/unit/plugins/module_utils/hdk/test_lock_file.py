# SPDX-License-Identifier: Apache-2.0
import pytest
from ansible.module_utils.hdk.lock import LockError
from ansible.module_utils.hdk.lock_file import read_lock


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
