# SPDX-License-Identifier: Apache-2.0
"""What a capture has of a server, and that the server's look reads it as it reads the server."""

import json
import platform
from dataclasses import replace
from pathlib import Path

import pytest
from ansible.module_utils.capture.collect import MOST_BYTES_A_FILE, SCHEMA, capture
from ansible.module_utils.hdk.facts import look_at_hdk

from tests.support.captured_host import CapturedHost
from tests.unit.plugins.module_utils.scripted_host import ScriptedHost

OUTPUTS = Path(__file__).parents[4] / "unit" / "telechat_runtime" / "ascend" / "npu_smi_outputs"
PACKAGES = {"Debian": ["dkms", "linux-headers-{kernel}"]}
SMI = "/usr/local/sbin/npu-smi"
INFO = """\
UserName=HwHiAiUser
UserGroup=HwHiAiUser
Driver_Install_Path_Param=/usr/local/Ascend
Driver_Install_Status=complete
"""
BOARD = "Serial Number : 2102313LMX\nSoftware Version : 24.1.rc3\nFirmware Version : 7.5.0.1.129\n"
CANARIES = ("node7", "corp-secret", "10.20.0.11", "3c:c7:86:01:02:03", "2102313LMX", "tenant-a", "s3cret")
IDENTITY = "7" * 64


def bare(host):
    host.write("etc/os-release", 'ID=debian\nVERSION_ID="12"\n')
    host.write("etc/hosts", "127.0.0.1 localhost\n10.20.0.11 node7 node7.corp-secret.cn\n")
    host.chip_on_bus(0)
    host.chip_on_bus(1, device="0xa222")


def installed(host):
    bare(host)
    host.write("etc/ascend_install.info", INFO)
    host.write("etc/hccn.conf", "address_0=10.20.0.11\n")
    host.write("usr/local/Ascend/driver/tools/upgrade-tool", "")
    host.write("usr/local/Ascend/driver/script/uninstall.sh", "")
    host.write("usr/local/Ascend/driver/version.info", "Version=24.1.rc3\n")
    host.write("usr/local/Ascend/firmware/version.info", "Version=7.5.0.1.129\n")
    host.write(SMI[1:], "")
    host.answer(f"{SMI} info", (OUTPUTS / "info_25.0.rc1.1_910b4_busy.txt").read_text())
    for chip in range(8):
        host.answer(f"{SMI} info -t board -i {chip}", BOARD)
    host.answer("docker ps --quiet --no-trunc", f"{IDENTITY}\n")
    host.answer(f"docker inspect {IDENTITY}", json.dumps([CONTAINER]))
    host.answer("uname -a", "Linux node7 5.10.0 #1 SMP aarch64\n")
    host.answer("ip -j addr", "3c:c7:86:01:02:03")


def half_installed(host):
    installed(host)
    (Path(host.root) / "usr/local/Ascend/driver/version.info").unlink()


def booted_before_it_was_installed(host):
    installed(host)
    host.write("proc/stat", "btime 1700000000\n")


CONTAINER = {
    "Id": IDENTITY,
    "Name": "/tenant-a-bert",
    "State": {"Pid": 4711},
    "Config": {"Env": ["TOKEN=s3cret"], "Labels": {"owner": "tenant-a", "devices": "/dev/davinci_manager"}},
    "HostConfig": {"Privileged": False, "Devices": [{"PathOnHost": "/dev/davinci0"}], "Binds": ["/tenant-a:/x"]},
    "Mounts": [{"Source": "/usr/local/Ascend/driver", "Destination": "/usr/local/Ascend/driver", "RW": False}],
}
SERVERS = [bare, installed, half_installed, booted_before_it_was_installed]


@pytest.fixture
def host(tmp_path):
    (tmp_path / "server").mkdir()
    return ScriptedHost(tmp_path / "server")


@pytest.mark.parametrize("server", SERVERS)
def test_a_captured_server_is_looked_at_as_the_server_itself(host, tmp_path, server):
    server(host)
    document = json.loads(json.dumps(capture(host.run, PACKAGES, host.root)))
    replayed = CapturedHost(document, tmp_path / "replayed")
    assert (replayed.machine, replayed.release) == (platform.machine(), platform.release())
    seen = look_at_hdk(replayed.run, replayed.family, PACKAGES["Debian"], None, replayed.root)
    # A process of a capture has no /proc.
    assert seen == replace(look_at_hdk(host.run, "Debian", PACKAGES["Debian"], None, host.root), holders=())


def test_a_capture_tells_nobody_whose_server_it_is(host):
    installed(host)
    host.write("var/log/ascend_seclog/ascend_install.log", "lin@node7 from 10.20.0.11 (3c:c7:86:01:02:03)\n")
    text = json.dumps(capture(host.run, PACKAGES, host.root))
    assert [canary for canary in CANARIES if canary in text] == []


def test_what_the_installer_searches_a_container_for_is_kept(host):
    installed(host)
    answers = {tuple(each["argv"]): each for each in capture(host.run, PACKAGES, host.root)["commands"]}
    (container,) = json.loads(answers["docker", "inspect", IDENTITY]["stdout"])
    assert container["Name"] == "/container0"
    assert container["Config"]["Labels"] == {"owner": "SCRUBBED", "devices": "/dev/davinci_manager"}
    assert container["Mounts"][0]["Source"] == "/usr/local/Ascend/driver"


def test_the_end_of_a_long_log_is_kept(host):
    bare(host)
    host.write("var/log/ascend_seclog/ascend_install.log", "old\n" + "x" * MOST_BYTES_A_FILE + "the end\n")
    document = capture(host.run, PACKAGES, host.root)
    log = document["files"]["/var/log/ascend_seclog/ascend_install.log"]
    assert document["schema"] == SCHEMA
    assert (log["cut"], log["text"][-8:], "old" in log["text"]) == (True, "the end\n", False)


def test_only_chips_of_the_vendor_are_captured_from_the_bus(host):
    bare(host)
    host.chip_on_bus(9, vendor="0x8086")
    files = capture(host.run, PACKAGES, host.root)["files"]
    assert sorted(path for path in files if path.endswith("vendor")) == [
        "/sys/bus/pci/devices/0000:00:00.0/vendor",
        "/sys/bus/pci/devices/0000:01:00.0/vendor",
    ]
