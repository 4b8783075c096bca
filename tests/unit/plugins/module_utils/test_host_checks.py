# SPDX-License-Identifier: Apache-2.0

import os
import socket
import sys
from pathlib import Path

import pytest
import yaml
from ansible.module_utils import host_checks
from ansible.module_utils.os_packages import OperatingSystem

from tests.unit.plugins.module_utils.scripted_host import ScriptedHost

ROOT = Path(__file__).parents[4]
DEBIAN_12 = OperatingSystem(id="debian", version="12", family="Debian")


@pytest.mark.parametrize(
    ("name", "version"),
    [
        ("euleros", "2.0"),
        ("ctyunos", "2.0.1"),
        ("ctyunos", "23.01"),
        ("uos", "20"),
        ("bclinux", "8.8"),
        ("bclinux", "21.10"),
        ("anolis", "8.10"),
        ("anolis", "23.1"),
    ],
)
def test_sites_of_china_run_these(name, version):
    supported = yaml.safe_load((ROOT / "roles/preflight/defaults/main.yml").read_text())["preflight_supported_os"]
    assert host_checks.supported_os(OperatingSystem(name, version, None), supported) is None


def test_an_os_by_name_and_version():
    assert host_checks.supported_os(DEBIAN_12, ["ubuntu 22.04", "debian 12"]) is None
    assert host_checks.supported_os(DEBIAN_12, ["debian"]) is None


@pytest.mark.parametrize(
    ("system_id", "version", "supported"),
    [
        ("openeuler", "22.03", ["openEuler 22.03"]),
        ("kylin", "V10", ["kylin v10"]),
        ("debian", "12.9", ["debian 12"]),
    ],
)
def test_spellings_of_supported_systems(system_id, version, supported):
    assert host_checks.supported_os(OperatingSystem(system_id, version, None), supported) is None


@pytest.mark.parametrize("supported", [["debian 11"], ["debian 1"], ["ubuntu 12"], []])
def test_an_os_that_nobody_has_tried(supported):
    problem = host_checks.supported_os(DEBIAN_12, supported)
    assert problem.value == "debian 12"
    assert "preflight_supported_os" in problem.next_step


def test_architecture():
    assert host_checks.supported_architecture("aarch64", ["aarch64", "x86_64"]) is None
    assert host_checks.supported_architecture("riscv64", ["aarch64", "x86_64"]).value == "riscv64"


def test_python_version():
    here = f"{sys.version_info[0]}.{sys.version_info[1]}"
    assert host_checks.python_version(here) is None
    assert host_checks.python_version("3.9") is None
    assert host_checks.python_version("4.0").check == "python"


def test_dnf_needs_its_python_module_on_openeuler_alone(tmp_path):
    assert host_checks.dnf_for_ansible("RedHat", str(tmp_path)).check == "python3_dnf"
    assert host_checks.dnf_for_ansible("Debian", str(tmp_path)) is None
    module = tmp_path / "usr/lib/python3.7/site-packages/dnf/__init__.py"
    module.parent.mkdir(parents=True)
    module.touch()
    assert host_checks.dnf_for_ansible("RedHat", str(tmp_path)) is None


@pytest.mark.parametrize(("skew", "words"), [(100, "100 s behind"), (-100, "100 s ahead")])
def test_clock(skew, words):
    assert host_checks.clock(1000, 1000, 60) is None
    assert host_checks.clock(1000 + skew, 1000, 60).value.startswith(words)


def test_own_name(monkeypatch):
    monkeypatch.setattr(socket, "gethostname", lambda: "localhost")
    assert host_checks.own_name() is None
    monkeypatch.setattr(socket, "gethostname", lambda: "node0.invalid")
    problem = host_checks.own_name()
    assert "'node0.invalid' does not resolve" in problem.value
    assert "/etc/hosts" in problem.next_step


def test_disk_space_counts_only_for_pending_roles(tmp_path):
    huge = {"role": "telechat_image", "path": str(tmp_path / "not" / "yet"), "free_mib": 10**9}
    assert host_checks.disk_space([huge], {}) == []
    (problem,) = host_checks.disk_space([huge], {"telechat_image": "not loaded"})
    assert problem.value.endswith(f"MiB free on the file system of {tmp_path}")
    assert problem.rule == f"1000000000 MiB for {tmp_path}/not/yet (telechat_image)"


def test_disk_space_is_summed_up_for_one_file_system(tmp_path):
    numbers = os.statvfs(tmp_path)
    free = numbers.f_bavail * numbers.f_frsize // 2**20
    half = [{"role": "a", "path": str(tmp_path), "free_mib": free * 2 // 3} for _ in range(2)]
    assert host_checks.disk_space(half[:1], {"a": ""}) == []
    assert len(host_checks.disk_space(half, {"a": ""})) == 1


TCP = "  sl  local_address rem_address st tx_queue tr tm->when retrnsmt uid timeout inode\n"
LISTENING = TCP + "   0: 0100007F:1FB6 00000000:0000 0A 0:0 0:0 0 0 0 4242 1\n"


@pytest.fixture
def host(tmp_path):
    return ScriptedHost(tmp_path)


def listener(host, name, environment=""):
    host.write("proc/net/tcp", LISTENING)
    host.write("proc/77/comm", name + "\n")
    host.write("proc/77/environ", environment)
    host.link("proc/77/fd/5", "socket:[4242]")


def test_a_free_port(host):
    assert host_checks.foreign_listener(8118, host.root) is None
    host.write("proc/net/tcp", LISTENING)
    assert host_checks.foreign_listener(8119, host.root) is None


def test_a_connection_from_that_port_is_no_listener(host):
    host.write("proc/net/tcp", LISTENING.replace(" 0A ", " 01 "))
    assert host_checks.foreign_listener(8118, host.root) is None


def test_a_foreign_process_on_the_master_port(host):
    listener(host, "nginx", "PATH=/bin")
    assert host_checks.foreign_listener(8118, host.root).value == "port 8118 is taken by nginx (pid 77)"


def test_a_jobs_own_scheduler_on_the_master_port(host):
    listener(host, "python3", "PATH=/bin\0MS_ROLE=MS_SCHED\0")
    assert host_checks.foreign_listener(8118, host.root) is None


def test_a_listener_in_another_namespace_has_no_name(host):
    host.write("proc/net/tcp6", LISTENING.replace("0100007F", "0" * 32))
    assert host_checks.foreign_listener(8118, host.root).value == "port 8118 is taken"
