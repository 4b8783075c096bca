# SPDX-License-Identifier: Apache-2.0

import io
import os
import tarfile

import pytest
from ansible.module_utils.hdk import logs as hdk_logs

from tests.unit.plugins.module_utils.scripted_host import ScriptedHost


@pytest.fixture
def host(tmp_path):
    return ScriptedHost(tmp_path)


def collected(host):
    content, names = hdk_logs.archive(host.run, host.root)
    with tarfile.open(fileobj=io.BytesIO(content)) as tar:
        found = {member.name: tar.extractfile(member).read() for member in tar}
    assert list(found) == names
    return found


def test_logs_records_versions_and_answers(host):
    wanted = {
        "var/log/ascend_seclog/ascend_install.log": "failed",
        "var/log/hotreset_status.log": "unknown",
        "root/log/makeself/makeself.log": "x",
        "var/log/ascend-hdk/driver-install-24.1.rc3-20260101-000000.log": "upgradePercentage:40%",
        "var/lib/dkms/davinci_ascend/1.0/build/make.log": "error: implicit declaration",
        "var/lib/dkms/davinci_ascend/1.0/6.1/aarch64/log/make.log": "ok",
        "var/lib/ascend-hdk/record.json": "{}",
        "run/ascend-hdk/run.json": "{}",
        "usr/local/Ascend/driver/version.info": "Version=24.1.rc3",
        "etc/ascend_install.info": "UserName=HwHiAiUser",
    }
    for name, text in wanted.items():
        host.write(name, text)
    host.answer("npu-smi info", "910B2")
    found = collected(host)
    assert {name: found[name].decode() for name in wanted} == wanted
    assert b"910B2" in found["commands/npu-smi-info.txt"]
    assert b"exit code 127" in found["commands/lspci.txt"]


def test_nothing_there_is_fine(host):
    assert set(collected(host)) == {f"commands/{name}.txt" for name in hdk_logs.COMMANDS}


def test_of_a_long_log_the_end(host, monkeypatch):
    monkeypatch.setattr(hdk_logs, "MOST_BYTES_A_FILE", 10)
    host.write("var/log/ascend_seclog/ascend_install.log", "begin" * 100 + "end")
    assert collected(host)["var/log/ascend_seclog/ascend_install.log"] == b"ginbeginend"[-10:]


def test_when_all_is_too_much_the_newest_files_come(host, monkeypatch):
    answers = sum(len(content) for content in collected(host).values())
    for age in range(5):
        path = host.write(f"var/log/ascend-hdk/{age}.log", "x" * 1000)
        os.utime(path, (2000000000 - age, 2000000000 - age))
    monkeypatch.setattr(hdk_logs, "MOST_BYTES", answers + 2500)
    found = [name for name in collected(host) if name.startswith("var")]
    assert found == ["var/log/ascend-hdk/0.log", "var/log/ascend-hdk/1.log"]


def test_no_pipes_and_a_linked_log_once(host, tmp_path):
    host.write("var/log/ascend-hdk/driver-1.log", "x")
    host.link("var/log/ascend-hdk/driver.log", "driver-1.log")
    host.link("var/log/ascend-hdk/gone.log", "nowhere")
    os.mkfifo(tmp_path / "var/log/ascend-hdk/pipe")
    found = [name for name in collected(host) if name.startswith("var")]
    assert found == ["var/log/ascend-hdk/driver-1.log"]
