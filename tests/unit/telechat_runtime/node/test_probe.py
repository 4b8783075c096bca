# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import platform
import socket
import sys
from contextlib import closing
from pathlib import Path
from typing import Any, Dict, Iterator, List

import pytest

from telechat_runtime.job.paths import JobPaths
from telechat_runtime.node import probe
from telechat_runtime.node.supervision import lease
from tests.support.local_node import LocalNode
from tests.support.mindrecord_file import write


def answer(root: Path, **request: Any) -> Dict[str, Any]:
    found: List[Dict[str, Any]] = []
    assert probe.run({"job_root": str(root), **request}, found.append) == 0
    assert len(found) == 1
    return found[0]


@pytest.fixture
def taken_port() -> Iterator[int]:
    with closing(socket.socket()) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


def test_the_bare_question_changes_nothing(tmp_path: Path) -> None:
    found = answer(tmp_path / "not" / "there")
    assert found["job_root"] == str(tmp_path / "not" / "there")
    assert (found["lease"], found["port"], found["tree"], found["python"]) == (None, None, None, None)
    assert found["hostname"] == socket.gethostname()
    assert found["free_bytes"] > 0
    assert list(tmp_path.iterdir()) == []


def test_paths_are_files_folders_or_missing(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    missing = str(tmp_path / "missing")
    found = answer(tmp_path, paths=[str(tmp_path), str(file), missing])
    assert found["paths"] == {str(tmp_path): "dir", str(file): "file", missing: None}


def test_a_taken_port_moves_to_the_next_free_one(tmp_path: Path, taken_port: int) -> None:
    found = answer(tmp_path, port=taken_port)["port"]
    assert found["wanted"] == taken_port
    assert found["peers"] > found["free"] > taken_port


def test_a_free_port_is_kept(tmp_path: Path) -> None:
    with closing(socket.socket()) as listener:
        listener.bind(("", 0))
        port = listener.getsockname()[1]
    found = answer(tmp_path, port=port)["port"]
    assert (found["wanted"], found["free"]) == (port, port)
    assert found["peers"] > port


def test_no_port_above_the_last_is_offered(tmp_path: Path) -> None:
    with closing(socket.socket()) as listener:
        listener.bind(("", 65535))
        listener.listen()
        assert answer(tmp_path, port=65535)["port"] == {"wanted": 65535, "free": None, "peers": None}


def test_a_host_name_that_does_not_resolve_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: "npu-7.invalid")
    found = answer(tmp_path)
    assert (found["hostname"], found["resolves"]) == ("npu-7.invalid", False)
    monkeypatch.setattr(socket, "gethostname", lambda: "localhost")
    assert answer(tmp_path)["resolves"]


def test_an_interpreter_is_found_by_name_and_by_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = {"path": sys.executable, "version": platform.python_version()}
    assert answer(tmp_path, python=sys.executable)["python"] == expected
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent))
    assert answer(tmp_path, python=Path(sys.executable).name)["python"] == expected


def test_what_is_no_interpreter_is_none(tmp_path: Path) -> None:
    broken = tmp_path / "python3"
    broken.write_text("#!/bin/sh\nexit 1\n", encoding="utf-8")
    broken.chmod(0o755)
    for name in (str(broken), str(tmp_path / "missing"), "no-such-python", str(tmp_path)):
        assert answer(tmp_path, python=name)["python"] is None


def test_a_tree_with_and_without_its_entry_program(tmp_path: Path) -> None:
    assert answer(tmp_path, tree=str(tmp_path))["tree"] == {"path": str(tmp_path), "run_mindformer": False}
    (tmp_path / "run_mindformer.py").touch()
    assert answer(tmp_path, tree=str(tmp_path))["tree"] == {"path": str(tmp_path), "run_mindformer": True}


def test_small_text_files_are_read(tmp_path: Path) -> None:
    yaml, binary, huge = tmp_path / "a.yaml", tmp_path / "b", tmp_path / "c"
    yaml.write_text("seed: 1 # 中\n", encoding="utf-8")
    binary.write_bytes(b"\xff\xfe")
    huge.write_bytes(b"x" * ((1 << 20) + 1))
    names = [str(path) for path in (yaml, binary, huge, tmp_path, tmp_path / "missing")]
    assert list(answer(tmp_path, read=names)["read"].values()) == ["seed: 1 # 中\n", None, None, None, None]


def test_the_lease_is_told(tmp_path: Path) -> None:
    held = lease.take(JobPaths(str(tmp_path), "job-1"), owner="alice", since="now")
    assert answer(tmp_path)["lease"] == {"job_id": "job-1", "owner": "alice", "since": "now"}
    held.leave()
    found = answer(tmp_path)
    assert found["lease"] is None
    assert found["stale_lease"]["job_id"] == "job-1"


def test_the_command_answers_one_line(node: LocalNode) -> None:
    answered = node.call("probe", job_root=str(node.job_root), python=sys.executable, paths=["/"], port=None)
    assert answered.exit_code == 0
    assert answered.document["paths"] == {"/": "dir"}


def test_data_is_looked_into_on_request(tmp_path: Path) -> None:
    record = write(tmp_path / "a.mindrecord", [{"input_ids": 129}], {"input_ids": "int32"})
    missing = str(tmp_path / "missing")
    found = answer(tmp_path, dataset=str(record), checkpoint=str(record), folders=[str(tmp_path), missing])
    assert found["dataset"]["row_lengths"] == [129]
    assert found["checkpoint"]["kind"] == "file"
    assert found["folders"][str(tmp_path)]["inode"] == tmp_path.stat().st_ino
    assert found["folders"][missing] is None
    found = answer(tmp_path, dataset=missing, checkpoint=missing)
    assert (found["dataset"], found["checkpoint"], found["folders"]) == (None, None, {})
    found = answer(tmp_path)
    assert (found["dataset"], found["checkpoint"], found["folders"]) == (None, None, {})
