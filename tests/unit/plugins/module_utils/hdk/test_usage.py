# SPDX-License-Identifier: Apache-2.0
"""Who uses the NPUs or changes their HDK: processes and containers of a host in a folder."""

import json

import pytest
from ansible.module_utils.hdk import usage as hdk_usage
from ansible.module_utils.hdk.state import Container, Holder, Installer

from tests.unit.plugins.module_utils.scripted_host import BOOT_ID, ScriptedHost

CONTAINER = "ab" * 32
MANAGER = {"PathOnHost": "/dev/davinci_manager", "PathInContainer": "/dev/davinci_manager"}


@pytest.fixture
def host(tmp_path):
    return ScriptedHost(tmp_path)


def process(host, pid, name, device, cgroup="0::/init.scope\n"):
    host.write(f"proc/{pid}/comm", name + "\n")
    host.write(f"proc/{pid}/cgroup", cgroup)
    host.link(f"proc/{pid}/fd/3", device)


def test_who_has_the_driver_open(host):
    process(host, 4711, "python3", "/dev/davinci0", f"0::/system.slice/docker-{CONTAINER}.scope\n")
    host.link("proc/4711/fd/2", "/dev/davinci_manager")
    process(host, 12, "npu-exporter", "/dev/davinci7")
    process(host, 13, "iBMA", "/dev/davinci_manager", "0::/system.slice/iBMA.service\n")
    process(host, 14, "bash", "/dev/null")
    process(host, 15, "slogd", "/dev/hisi_hdc")
    process(host, 16, "any", "/dev/devmm_svm")
    host.answer(f"docker inspect --format {{{{.Name}}}} {CONTAINER}", "/telechat\n")
    found = hdk_usage.holders(host.run, host.root)
    assert sorted(found, key=lambda holder: holder.pid) == [
        Holder(12, "npu-exporter", None, "/dev/davinci7"),
        Holder(13, "iBMA", None, "/dev/davinci_manager", "iBMA.service"),
        Holder(15, "slogd", None, "/dev/hisi_hdc"),
        Holder(16, "any", None, "/dev/devmm_svm"),
        Holder(4711, "python3", "telechat", "/dev/davinci0"),
    ]
    assert [holder.name for holder in found if holder.has_npu()] == ["npu-exporter", "python3"]


def lasting(host, *changes):
    """Return who is met again while the host changes between the looks."""
    left = list(changes)
    return hdk_usage.lasting_holders(host.run, host.root, sleep=lambda _seconds: left.pop(0)() if left else None)


@pytest.mark.parametrize(
    "cgroup",
    [
        "0::/system.slice/ssh.service\n",
        "1:name=systemd:/system.slice/sshd.service\n",
        "0::/system.slice/system-sshd.slice/sshd@4-10.0.0.1:22-10.0.0.2:50000.service\n",
        "0::/user.slice/user-0.slice/user@0.service/app.slice\n",
        "0::/user.slice/user-0.slice/session-7.scope\n",
    ],
)
def test_a_login_is_no_service_that_somebody_is_asked_to_stop(host, cgroup):
    process(host, 14, "sleep", "/dev/davinci_manager", cgroup)
    (holder,) = hdk_usage.holders(host.run, host.root)
    assert holder.service is None


def test_a_poller_that_has_the_driver_open_half_of_the_time_is_met_as_a_holder(host, tmp_path):
    cgroup = "0::/system.slice/zabbix-agent.service\n"

    def comes(pid):
        return lambda: process(host, pid, "npu-smi", "/dev/davinci_manager", cgroup)

    def goes(pid):
        return (tmp_path / f"proc/{pid}/fd/3").unlink

    (holder,) = lasting(host, comes(50), goes(50), comes(51))
    assert holder == Holder(51, "npu-smi", None, "/dev/davinci_manager", "zabbix-agent.service")


def test_an_npu_smi_that_somebody_calls_once_is_no_holder(host, tmp_path):
    process(host, 50, "npu-smi", "/dev/davinci_manager")
    assert lasting(host, (tmp_path / "proc/50/fd/3").unlink) == []


def test_what_has_an_npu_open_is_a_holder_at_once(host):
    process(host, 50, "python3", "/dev/davinci3")
    assert [holder.pid for holder in lasting(host)] == [50]


def test_a_container_that_docker_does_not_know_keeps_its_id(host):
    process(host, 4711, "python3", "/dev/davinci0", f"0::/kubepods/{CONTAINER}\n")
    (holder,) = hdk_usage.holders(host.run, host.root)
    assert holder.container == CONTAINER[:12]


def test_containers_that_have_npus_or_mount_the_driver(host):
    found = [
        {"Id": "1" * 64, "Name": "/telechat", "State": {"Pid": 10}, "Mounts": []},
        {"Id": "2" * 64, "Name": "/idle", "State": {"Pid": 20}, "Mounts": [{"Source": "/usr/local/Ascend/driver"}]},
        {"Id": "3" * 64, "Name": "/smi", "State": {"Pid": 30}, "Mounts": [{"Source": "/usr/local/sbin/npu-smi"}]},
        {"Id": "4" * 64, "Name": "/web", "State": {"Pid": 40}, "Mounts": [{"Source": "/srv"}]},
    ]
    ours = {"Labels": {"telechat.parameters": "{}"}}
    found += [
        {"Id": "5" * 64, "Name": "/ours", "State": {}, "HostConfig": {"Devices": [MANAGER]}, "Config": ours},
        {"Id": "6" * 64, "Name": "/label", "State": {}, "Config": {"Labels": {"any": "on /dev/davinci_manager"}}},
    ]
    host.write("proc/10/root/dev/davinci3", "")
    host.write("proc/40/root/dev/davinci_manager", "")
    host.answer("docker ps --quiet --no-trunc", "".join(f"{item['Id']}\n" for item in found))
    host.answer(f"docker inspect {' '.join(item['Id'] for item in found)}", json.dumps(found))
    assert hdk_usage.containers(host.run, host.root) == [
        Container("2" * 64, "idle", devices=False),
        Container("6" * 64, "label", devices=False, refused=True),
        Container("5" * 64, "ours", devices=False, refused=True, ours=True),
        Container("3" * 64, "smi", devices=False),
        Container("1" * 64, "telechat", devices=True),
    ]


def test_a_host_without_docker_has_no_containers(host):
    assert hdk_usage.containers(host.run, host.root) == []


def run_process(host, pid, *words, parent=1, session=1):
    host.write(f"proc/{pid}/cmdline", "".join(f"{word}\0" for word in words))
    host.write(f"proc/{pid}/stat", f"{pid} (x y) S {parent} {session} {session} 0 -1 " + "0 " * 13 + "77 0 0\n")


RUN_FILE = "/root/Ascend-hdk-910b-npu-driver_24.1.rc3_linux-aarch64.run"
SCRIPT = "/usr/local/Ascend/firmware/script/uninstall.sh"


def test_installers_are_named_once_by_their_first_process(host):
    run_process(host, 100, "/bin/sh", RUN_FILE, "--full", "--quiet")
    run_process(host, 101, "/bin/bash", RUN_FILE, parent=100)
    run_process(host, 200, "sh", SCRIPT)
    run_process(host, 300, "scp", RUN_FILE, "node1:/root")
    run_process(host, 301, "/bin/sh", "/opt/uninstall.sh")
    assert hdk_usage.installers(host.root) == [
        Installer(100, RUN_FILE, ours=False),
        Installer(200, SCRIPT, ours=False),
    ]


def test_the_installer_of_the_run_that_goes_on_is_ours(host):
    run_process(host, 100, "/bin/sh", RUN_FILE, "--full", session=100)
    run_process(host, 200, "sh", SCRIPT, session=200)
    current = {"step": "install driver", "argv": [RUN_FILE, "--full"], "pid": 100, "start_time": 77}
    state = {"boot_id": BOOT_ID, "ended": None, "pid": 100, "start_time": 77, "current": current, "done": []}
    host.write("run/ascend-hdk/run.json", json.dumps(state))
    assert [(found.pid, found.ours) for found in hdk_usage.installers(host.root)] == [(100, True), (200, False)]
