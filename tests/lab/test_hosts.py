# SPDX-License-Identifier: Apache-2.0
"""Real hosts of a lab of their own: what they are, what they cannot, and that nothing of them stays behind.

The tests that break the lab stand last.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lab import process, ssh
from lab.cgroup import Group
from lab.layout import Host, find_lab
from tests.lab.left_behind import NOTHING, left_behind, supervisors
from tests.lab.site import ROOT, Site, eventually, lab_state, run

pytestmark = pytest.mark.lab

NAME = "hosts-test"
LAB = find_lab(NAME)
SITE = Site(name=NAME, state=lab_state(NAME))
NODES = LAB.hosts(2)


def lab(*words: str) -> subprocess.CompletedProcess[str]:
    return run(SITE.lab_argv(*words), log=NAME)


def on(host: str, *words: str) -> str:
    return SITE.on(host, *words).strip()


def up(*options: str) -> str:
    return SITE.lab("up", "--no-mindspore", *options)


def status() -> dict[str, Any]:
    facts = json.loads(lab("status", "--json").stdout)
    assert isinstance(facts, dict)
    return facts


def states() -> list[str]:
    return [host["state"] for host in status()["hosts"]]


def answers(host: str) -> bool:
    return lab("shell", host, "--", "true").returncode == 0


@pytest.fixture(scope="module", autouse=True)
def _two_hosts() -> Iterator[None]:
    lab("down")
    try:
        up("--hosts", "2", "--chips", "4")
        yield
    finally:
        done = lab("down")
        assert done.returncode == 0, done.stderr


def test_hosts_are_bare() -> None:
    for node in NODES:
        assert on(node.name, "hostname") == node.name
        assert on(node.name, "systemctl", "is-system-running") == "running"
        assert on(node.name, "sh", "-c", "ls /usr/bin/docker /usr/local/Ascend 2>/dev/null; true") == ""
        assert on(node.name, "sh", "-c", "ls -d /dev/davinci* 2>/dev/null; true") == ""
        assert on(node.name, "python3", "-c", "import ssl, sqlite3, venv; print(1)") == "1"


def test_the_chips_are_on_the_pci_bus() -> None:
    vendors = on("node0", "sh", "-c", "cat /sys/bus/pci/devices/*/vendor").split()
    assert vendors == ["0x19e5"] * 4


def test_up_again_changes_nothing() -> None:
    before = SITE.boot_id("node0")
    assert "(no change)" in up()
    assert SITE.boot_id("node0") == before
    assert [host["boots"] for host in status()["hosts"]] == [1, 1]


def test_hosts_know_each_other_by_address_and_share_no_identity() -> None:
    assert on("node0", "ping", "-c1", "-W2", NODES[1].address)
    for path in ("/etc/machine-id", "/etc/ssh/ssh_host_ed25519_key.pub"):
        assert on("node0", "cat", path) != on("node1", "cat", path)


def test_a_host_with_another_key_is_refused(tmp_path: Path) -> None:
    line = LAB.known_hosts.read_text().splitlines()
    other_key = line[1].replace(NODES[1].address, NODES[0].address)
    wrong = tmp_path / "known_hosts"
    wrong.write_text(f"{other_key}\n")
    argv = [
        word.replace(str(LAB.known_hosts), str(wrong)).replace("LogLevel=ERROR", "LogLevel=INFO")
        for word in ssh.argv(LAB, NODES[0], ["true"])
    ]
    done = run(argv, log="hosts-test")
    assert done.returncode == 255
    assert "Host key verification failed" in done.stderr


def test_storage_is_shared() -> None:
    on("node0", "sh", "-c", "echo from node0 >/mnt/shared/note")
    assert on("node1", "cat", "/mnt/shared/note") == "from node0"


def test_a_poor_cable_delays_and_loses_and_a_good_one_does_not() -> None:
    def answers_of(count: int) -> list[float]:
        """Round-trip times in milliseconds of the echoes that came back."""
        said = on("node0", "sh", "-c", f"ping -c{count} -i0.05 -W2 {NODES[1].address}; true")
        return [float(found) for found in re.findall(r"time=([\d.]+) ms", said)]

    assert lab("link", "node1", "up", "--delay", "50").returncode == 0
    assert status()["hosts"][1]["cable"] == "poor"
    times = answers_of(5)
    assert len(times) == 5
    assert min(times) >= 100
    # What a kernel hands on in large pieces and without a checksum has to arrive as well.
    assert len(on("node1", "head", "-c", "2000000", "/dev/zero")) == 2_000_000
    assert lab("link", "node1", "up", "--loss", "50").returncode == 0
    assert 0 < len(answers_of(40)) < 40
    assert lab("link", "node1", "up").returncode == 0
    assert status()["hosts"][1]["cable"] == "plugged"
    times = answers_of(5)
    assert len(times) == 5
    assert min(times) < 50
    assert lab("link", "node1", "down", "--loss", "5").returncode == 1


def test_there_is_no_way_out_of_the_network() -> None:
    assert "default" not in on("node0", "ip", "route")
    outside = on("node0", "sh", "-c", "ping -c1 -W1 192.0.2.1 2>&1; true")
    assert "Network is unreachable" in outside
    hub = lab("exec", "--", "ip", "route").stdout
    assert "default" not in hub
    assert on("node0", "sh", "-c", "getent hosts example.org || echo unknown") == "unknown"


def test_exec_keeps_environment_folder_and_exit_code() -> None:
    argv = SITE.lab_argv("exec", "--", "sh", "-c", 'echo "$PWD $HELLO"; exit 7')
    done = subprocess.run(
        argv, cwd=ROOT, env={**os.environ, "HELLO": "x y"}, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (7, f"{ROOT} x y\n")


def test_packages_install_from_the_signed_repository_and_the_chips_are_listed() -> None:
    release = on("node0", "uname", "-r")
    script = (
        "export DEBIAN_FRONTEND=noninteractive; apt-get update 2>&1 && "
        f"apt-get install -y docker.io dkms gcc make pciutils net-tools linux-headers-{release} >/dev/null 2>&1"
    )
    done = lab("shell", "node0", "--", "sh", "-c", script)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "unauthenticated" not in done.stdout.lower()
    assert "not signed" not in done.stdout
    assert on("node0", "lspci", "-d", "19e5:").count("Processing accelerators") == 4
    assert on("node0", "test", "-e", f"/lib/modules/{release}/build/Makefile") == ""


def test_a_module_builds_against_the_stand_in_headers() -> None:
    """After the packages are installed."""
    source = (
        '#include <linux/module.h>\nstatic int start(void){return 0;}\nmodule_init(start);\nMODULE_LICENSE("GPL");\n'
    )
    script = (
        f"mkdir -p /tmp/m; printf '%s' '{source}' > /tmp/m/hello.c; echo 'obj-m := hello.o' > /tmp/m/Kbuild; "
        "make -s -C /lib/modules/$(uname -r)/build M=/tmp/m modules && file=/tmp/m/hello.ko && "
        "grep -c license=GPL $file"
    )
    assert on("node0", "sh", "-c", script) == "1"


def test_docker_runs_the_image_from_the_file_server() -> None:
    """After the packages are installed."""
    facts = json.loads((LAB.share / "telechat-ms.json").read_text())
    url = f"{status()['url']}share/{facts['archive']}"
    on("node0", "python3", "-c", f"import urllib.request as u; u.urlretrieve('{url}', '/tmp/image.tar')")
    on("node0", "docker", "load", "-i", "/tmp/image.tar")
    assert on("node0", "docker", "image", "inspect", "-f", "{{.Id}}", facts["tag"]) == facts["image_id"]
    base = ("docker", "run", "--rm", "--pull=never", "--network", "host")
    assert on("node0", *base, facts["tag"], "python3", "-c", "print(6*7)") == "42"
    assert NODES[0].address in on("node0", *base, "--privileged", facts["tag"], "ip", "-br", "addr")


def test_a_reboot_is_a_new_boot_of_the_same_host() -> None:
    before, key = SITE.boot_id("node1"), on("node1", "cat", "/etc/ssh/ssh_host_ed25519_key.pub")
    on("node1", "touch", "/root/kept", "/run/lost")
    lab("shell", "node1", "--", "systemctl", "reboot")
    eventually(lambda: answers("node1") and SITE.boot_id("node1") != before)
    assert on("node1", "sh", "-c", "ls /root/kept /run/lost 2>/dev/null; true") == "/root/kept"
    assert on("node1", "cat", "/etc/ssh/ssh_host_ed25519_key.pub") == key
    assert len(on("node1", "journalctl", "--list-boots", "--no-pager").splitlines()) == 3
    assert on("node1", "sh", "-c", "ls /sys/bus/pci/devices | wc -l") == "4"


def test_a_host_that_does_not_come_back_comes_back_when_healed() -> None:
    assert lab("fault", "node1", "no_boot").returncode == 0
    lab("shell", "node1", "--", "systemctl", "reboot")
    eventually(lambda: states() == ["running", "held"])
    assert not answers("node1")
    assert lab("fault", "node1", "--clear").returncode == 0
    eventually(lambda: answers("node1"))


def test_a_host_that_was_switched_off_comes_up_again() -> None:
    lab("shell", "node1", "--", "systemctl", "poweroff")
    eventually(lambda: states() == ["running", "off"])
    up()
    assert states() == ["running", "running"]


def test_a_third_host_joins_and_the_others_stay() -> None:
    before = SITE.boot_id("node0")
    up("--hosts", "3")
    assert on("node2", "ping", "-c1", "-W2", NODES[0].address)
    assert SITE.boot_id("node0") == before
    assert "node2:" in (LAB.inventory / "hosts.yml").read_text()


def test_up_heals_a_killed_supervisor_and_a_killed_server() -> None:
    for record in (NODES[0].supervisor, LAB.server):
        identity = process.recorded(record)
        assert identity is not None
        os.kill(identity.pid, signal.SIGKILL)
    eventually(lambda: states()[0] == "off")
    up()
    assert states() == ["running"] * 3
    assert status()["server"] == "running"
    assert len([line for line in supervisors(LAB) if line.endswith(f"{NAME} 0")]) == 1


def test_down_leaves_nothing_of_hanging_hosts() -> None:
    for pid in _init_processes(NODES[0]):
        os.kill(pid, signal.SIGSTOP)
    done = lab("down")
    assert done.returncode == 0, done.stderr
    assert left_behind(LAB) == NOTHING


def test_down_leaves_nothing_after_a_crash_in_the_middle_of_up() -> None:
    crashed = subprocess.Popen(
        SITE.lab_argv("up", "--no-mindspore"),
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    eventually(lambda: process.alive(NODES[0].supervisor))
    identity = process.recorded(NODES[0].supervisor)
    assert identity is not None
    os.kill(identity.pid, signal.SIGKILL)
    crashed.kill()
    crashed.wait()
    assert left_behind(LAB) != NOTHING
    assert lab("down").returncode == 0
    assert left_behind(LAB) == NOTHING


def test_down_needs_no_state_to_find_what_is_left() -> None:
    up("--hosts", "1")
    LAB.settings.unlink()
    NODES[0].supervisor.unlink()
    assert lab("down").returncode == 0
    assert left_behind(LAB) == NOTHING
    assert "there is none" in lab("down").stderr


def _init_processes(host: Host) -> set[int]:
    """Processes of a host's machine, as this machine sees them."""
    return Group(path=f"{LAB.netns}/{host.name}/machine").members()
