# SPDX-License-Identifier: Apache-2.0
"""How a file is cut, which slices are sent, and what the host is asked for."""

import hashlib
import subprocess
from types import SimpleNamespace

import pytest
from ansible.errors import AnsibleConnectionFailure, AnsibleError
from hypothesis import given
from hypothesis import strategies as st

from plugins.action import resumable_copy as action


def sha256(content):
    return hashlib.sha256(content).hexdigest()


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    return tmp_path_factory.mktemp("source") / "file"


@given(content=st.binary(max_size=300), slice_bytes=st.integers(1, 80))
def test_slices_are_the_file_in_order_without_gap_or_overlap(file, content, slice_bytes):
    file.write_bytes(content)
    source = action.read_source(file, slice_bytes)
    assert (source.size, source.sha256) == (len(content), sha256(content))
    cuts = [content[piece.offset : piece.offset + piece.length] for piece in source.slices]
    assert b"".join(cuts) == content
    assert [sha256(cut) for cut in cuts] == [piece.sha256 for piece in source.slices]
    assert all(0 < piece.length <= slice_bytes for piece in source.slices)
    assert all(piece.length == slice_bytes for piece in source.slices[:-1])
    assert sorted(piece.name for piece in source.slices) == [piece.name for piece in source.slices]


@given(data=st.data(), content=st.binary(min_size=1, max_size=200))
def test_only_what_is_not_there_whole_is_sent(file, data, content):
    file.write_bytes(content)
    source = action.read_source(file, 16)
    names = [piece.name for piece in source.slices]
    whole = set(data.draw(st.sets(st.sampled_from(names))))
    broken = set(data.draw(st.sets(st.sampled_from(names)))) - whole
    found = {piece.name: piece.sha256 for piece in source.slices if piece.name in whole}
    found.update(dict.fromkeys(broken, sha256(b"cut short")))
    found["slice-99999"] = sha256(b"of another cut")
    sent = action.missing_slices(source, found)
    assert [piece.name for piece in sent] == [name for name in names if name not in whole]


def test_the_folder_is_made_for_its_user_alone_and_tells_what_is_in_it(tmp_path):
    command = action.open_command("~/.ansible/tmp dir", "node 0-abc-2")
    home = {"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}

    def ask():
        done = subprocess.run(["/bin/sh", "-c", command], env=home, capture_output=True, text=True, check=True)
        return action.parse_waiting(done.stdout)

    empty = ask()
    folder = tmp_path / ".ansible" / "tmp dir" / "resumable_copy" / "node 0-abc-2"
    assert (empty.folder, empty.found) == (str(folder), {})
    assert empty.free > 0
    assert folder.stat().st_mode & 0o777 == 0o700
    (folder / "slice-00001").write_bytes(b"x")
    (folder / "other").write_bytes(b"y")
    assert ask().found == {"slice-00001": sha256(b"x")}


def test_a_folder_by_its_full_path(tmp_path):
    command = action.open_command(f"{tmp_path}/$(touch bad)", "x")
    done = subprocess.run(["/bin/sh", "-c", command], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert action.parse_waiting(done.stdout).folder == f"{tmp_path}/$(touch bad)/resumable_copy/x"
    assert not (tmp_path / "bad").exists()


class Host:
    """What the module finds, in order, on a host whose folder of slices vanishes before the first is sent."""

    def __init__(self, *missing):
        self.missing = list(missing)

    def execute(self, module_name, module_args, **_):
        assert module_name == "resumable_copy"
        assert "slices" not in module_args
        missing = self.missing.pop(0)
        return {"changed": missing, "missing": missing, "diff": {}}


@pytest.fixture
def copying(tmp_path, monkeypatch):
    """Return how to copy a file to a host where sending it ends with an error."""
    path = tmp_path / "driver.run"
    path.write_bytes(b"driver")

    def copy(host, error):
        plugin = action.ActionModule.__new__(action.ActionModule)
        plugin._task = SimpleNamespace(args={"src": str(path), "sha256": sha256(b"driver")}, check_mode=False)

        def send(*_):
            raise error

        monkeypatch.setattr(action.ActionBase, "run", lambda *_: None)
        monkeypatch.setattr(plugin, "_execute_module", host.execute, raising=False)
        monkeypatch.setattr(plugin, "_open", lambda *_: action.Waiting("/tmp/x", 1 << 30, {}))
        monkeypatch.setattr(plugin, "_transfer_file", send, raising=False)
        return plugin.run(task_vars={"inventory_hostname": "node0"})

    return copy


def test_another_run_that_had_the_file_whole_first_is_no_failure(copying):
    assert copying(Host(True, False), AnsibleError("no such file"))["changed"] is False


def test_a_slice_that_can_not_be_sent_fails_where_the_file_is_still_missing(copying):
    with pytest.raises(AnsibleError, match="disk is full"):
        copying(Host(True, True), AnsibleError("the disk is full"))


def test_a_lost_connection_is_told_as_such_and_asks_nothing_more(copying):
    with pytest.raises(AnsibleConnectionFailure):
        copying(Host(True), AnsibleConnectionFailure("gone"))
