# SPDX-License-Identifier: Apache-2.0
"""A server's logs unpacked on the control side: for the owner alone, and never outside their folder."""

import base64
import io
import tarfile
from types import SimpleNamespace

import pytest

from plugins.action import ascend_hdk_logs as plugin


def archive(*names, kind=tarfile.REGTYPE):
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w:gz") as tar:
        for name in names:
            member = tarfile.TarInfo(name)
            member.type, member.size = kind, 3 if kind == tarfile.REGTYPE else 0
            member.linkname = "/etc/passwd"
            tar.addfile(member, io.BytesIO(b"log"))
    return sink.getvalue()


def run(dest, answer, *, check=False):
    task = SimpleNamespace(args={"dest": str(dest)}, check_mode=check, async_val=0, diff=False)
    connection = SimpleNamespace(_shell=SimpleNamespace(tmpdir="/nowhere"))
    action = plugin.ActionModule(task, connection, None, None, None, None)
    action._execute_module = lambda **_: dict(answer)
    return action.run(task_vars={})


def answer(*names, **how):
    return {"files": list(names), "content": base64.b64encode(archive(*names, **how)).decode()}


def test_the_files_lie_below_dest_for_the_owner_alone(tmp_path):
    dest = tmp_path / "logs" / "node0"
    result = run(dest, answer("var/log/a.log", "commands/dmesg.txt"))
    assert result == {"files": ["var/log/a.log", "commands/dmesg.txt"], "dest": str(dest)}
    assert (dest / "var/log/a.log").read_bytes() == b"log"
    assert dest.stat().st_mode & 0o777 == 0o700
    assert (dest / "commands/dmesg.txt").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("name", ["../out", "a/../../out", "/etc/out"])
def test_a_name_that_leads_out_is_refused(tmp_path, name):
    dest = tmp_path / "logs"
    result = run(dest, answer(name))
    assert result["failed"]
    assert "no file below it" in result["msg"]
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_link_is_refused(tmp_path):
    assert run(tmp_path / "logs", answer("a", kind=tarfile.SYMTYPE))["failed"]


def test_a_module_that_failed_is_told_as_it_is(tmp_path):
    failed = {"failed": True, "msg": "no python"}
    assert run(tmp_path / "logs", failed) == failed
    assert not (tmp_path / "logs").exists()


def test_check_mode_writes_nothing(tmp_path):
    assert run(tmp_path / "logs", answer("a"), check=True) == {"files": ["a"]}
    assert not (tmp_path / "logs").exists()


def test_a_folder_that_can_t_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    assert run(tmp_path / "file" / "logs", answer("a"))["failed"]
