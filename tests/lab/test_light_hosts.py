# SPDX-License-Identifier: Apache-2.0
"""Light hosts of a lab of their own: the commands of hosts with systemd, the project's playbook, dozens at once.

The tests that break the lab stand last.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import suppress

import pytest

from lab import host_state, process
from lab.cgroup import Group
from lab.layout import find_lab
from tests.lab.left_behind import NOTHING, left_behind, supervisors
from tests.lab.site import BIN, ROOT, Site, eventually, lab_state, recap, run

pytestmark = pytest.mark.lab

NAME = "light-test"
LAB = find_lab(NAME)
SITE = Site(name=NAME, state=lab_state(NAME))
CHIPS = 2
NAMES = [host.name for host in LAB.hosts(4)]
OLDER, WANTED = ["23.0.3", "7.1.0.5.220"], ["24.1.rc3", "7.5.0.1.129"]


def lab(*words: str) -> subprocess.CompletedProcess[str]:
    return run(SITE.lab_argv(*words), log=NAME)


def did(*words: str) -> str:
    return SITE.lab(*words).strip()


def on(host: str, *words: str) -> str:
    return did("shell", host, "--", *words)


def up(*options: str) -> str:
    return did("up", "--no-mindspore", *options)


def states() -> list[str]:
    return [host["state"] for host in SITE.status().values()]


def boots() -> list[int]:
    return list(SITE.boots().values())


def booted_since(host: str, boot_id: str) -> bool:
    """Tell whether a host answers in another boot than that one."""
    done = lab("shell", host, "--", "cat", "/proc/sys/kernel/random/boot_id")
    return done.returncode == 0 and done.stdout.strip() != boot_id


def answers(host: str) -> bool:
    return lab("shell", host, "--", "true").returncode == 0


def silent(host: str) -> bool:
    """Tell whether nothing of a host is heard in the network."""
    address = LAB.host(NAMES.index(host)).address
    return not lab("exec", "--", "ssh-keyscan", "-T", "1", address).stdout


def booted(host: str) -> bool:
    return answers(host) and lab("shell", host, "--", "systemctl", "is-system-running").stdout != "starting\n"


def versions(host: str) -> list[str]:
    """The versions of driver and firmware that a host's first chip runs."""
    lines = on(host, "npu-smi", "info", "-t", "board", "-i", "0").splitlines()
    return [line.split()[-1] for line in lines if "Software Version" in line or "Firmware Version" in line]


@pytest.fixture(scope="module", autouse=True)
def _four_hosts() -> Iterator[None]:
    lab("down")
    try:
        up("--light", "--hosts", str(len(NAMES)), "--chips", str(CHIPS))
        yield
    finally:
        did("down")


def test_hosts_are_bare_and_each_its_own() -> None:
    look = (
        "hostname; cat /etc/machine-id /proc/sys/kernel/random/boot_id; ps -e -o pid= | wc -l; ls -d /usr/local/Ascend"
    )
    seen = [on(name, "sh", "-c", f"{look} /dev/davinci* 2>/dev/null; true").split() for name in NAMES]
    assert [words[0] for words in seen] == NAMES
    assert len({word for words in seen for word in words[1:3]}) == 2 * len(NAMES)
    # The SSH server and who asks; nothing of the machine or of other hosts.
    assert all(int(words[3]) < 10 for words in seen)
    assert all(len(words) == 4 for words in seen)


def test_the_chips_are_on_the_pci_bus() -> None:
    assert on("node1", "sh", "-c", "cat /sys/bus/pci/devices/*/vendor").split() == ["0x19e5"] * CHIPS


def test_up_again_changes_nothing_and_the_kind_of_hosts_is_remembered() -> None:
    before = boots()
    assert "(no change)" in up()
    assert boots() == before
    assert (LAB.inventory / "group_vars/ascend.yml").read_text().count('telechat_container_name: ""') == 1


def test_hosts_know_each_other_and_no_way_out() -> None:
    assert on("node0", "ping", "-c1", "-W2", LAB.host(3).address)
    assert "default" not in on("node0", "ip", "route")
    assert on("node0", "sh", "-c", "getent hosts example.org || echo unknown") == "unknown"


def test_a_hosts_root_changes_nothing_of_the_machine() -> None:
    refused = lab("shell", "node0", "--", "sh", "-c", "echo 1 > /proc/sys/kernel/panic")
    assert "Read-only file system" in refused.stderr
    assert lab("shell", "node0", "--", "touch", "/sys/bus/pci/devices/x").returncode != 0
    assert on("node0", "sh", "-c", "hostname changed; hostname; hostname node0") == "changed"
    assert os.uname().nodename != "changed"


def test_processes_that_lose_their_parent_are_reaped() -> None:
    on("node0", "sh", "-c", "(sleep 0.1 &) ; true")
    eventually(lambda: on("node0", "sh", "-c", "ps -e -o stat=,comm= | grep -E '^Z|sleep' || true") == "")


@pytest.mark.parametrize("command", ["systemctl reboot", "shutdown -r now", "reboot"])
def test_a_reboot_is_a_new_boot_of_the_same_host(command: str) -> None:
    before, counted = SITE.boot_id("node1"), boots()
    on("node1", "sh", "-c", "touch /root/kept /run/lost /dev/lost; setsid sleep 600 >/dev/null 2>&1 &")
    lab("shell", "node1", "--", *command.split())
    eventually(lambda: booted_since("node1", before))
    assert on("node1", "sh", "-c", "ls /root/kept /run/lost /dev/lost 2>/dev/null; true") == "/root/kept"
    assert on("node1", "sh", "-c", "pgrep sleep || true") == ""
    assert boots() == [counted[0], counted[1] + 1, *counted[2:]]


def test_ansible_reboots_hosts_as_it_reboots_any() -> None:
    before = boots()
    done = run(SITE.inside(BIN / "ansible", "-i", SITE.inventory, "node2:node3", "-m", "reboot"), log=NAME)
    assert done.returncode == 0, done.stdout
    assert boots() == [*before[:2], before[2] + 1, before[3] + 1]


def test_a_host_that_does_not_come_back_comes_back_when_healed() -> None:
    did("fault", "node1", "no_boot")
    lab("shell", "node1", "--", "systemctl", "reboot")
    eventually(lambda: states() == ["running", "held", "running", "running"])
    assert silent("node1")
    assert "(no change)" in up()
    did("fault", "node1", "--clear")
    eventually(lambda: answers("node1"))


def test_a_power_cut_ends_one_host_and_no_other() -> None:
    before = [SITE.boot_id(name) for name in NAMES]
    did("power", "node1", "off")
    assert states() == ["running", "off", "running", "running"]
    assert silent("node1")
    did("power", "node1", "on")
    did("power", "node2", "cut")
    now = [SITE.boot_id(name) for name in NAMES]
    assert [one == other for one, other in zip(before, now, strict=True)] == [True, False, False, True]


def test_a_host_that_was_switched_off_comes_up_again() -> None:
    lab("shell", "node3", "--", "poweroff")
    eventually(lambda: states() == ["running", "running", "running", "off"])
    up()
    assert answers("node3")


def test_a_cable_that_is_pulled_out_stays_so_over_a_boot() -> None:
    did("link", "node3", "down")
    assert silent("node3")
    did("power", "node3", "cut")
    assert silent("node3")
    assert SITE.status()["node3"]["cable"] == "unplugged"
    did("link", "node3", "up")
    # Nobody waited for its boot: with the cable out it can't be asked.
    eventually(lambda: booted("node3"))


def test_states_are_those_of_running_hosts() -> None:
    did("state", "node0=older-driver-and-firmware", "node1=older-driver-and-firmware", "node2=same")
    assert [versions(name) for name in NAMES[:3]] == [OLDER, OLDER, WANTED]
    assert on("node2", "systemctl", "is-active", "host_sys_init.service") == "active"
    assert on("node2", "sh", "-c", "ls /dev/davinci[0-9]*").split() == [f"/dev/davinci{chip}" for chip in range(CHIPS)]


def test_hardware_that_asks_for_a_power_cut_gets_it_once() -> None:
    """After the states."""
    before = boots()
    did("fault", "node2", "power_cut=boot:0")
    lab("shell", "node2", "--", "systemctl", "reboot")
    eventually(lambda: boots()[2] == before[2] + 2)
    eventually(lambda: booted("node2"))
    assert versions("node2") == WANTED


def test_a_driver_that_does_not_load_is_told() -> None:
    """After the states."""
    did("fault", "node2", "driver_load_failure")
    done = lab("power", "node2", "cut")
    assert "node2: up, but a unit failed" in done.stderr
    assert lab("shell", "node2", "--", "systemctl", "is-system-running").stdout == "degraded\n"
    assert on("node2", "systemctl", "--failed") == "host_sys_init.service"
    assert on("node2", "sh", "-c", "ls /dev/davinci* 2>/dev/null || true") == ""
    did("fault", "node2", "--clear")
    did("power", "node2", "cut")


def test_the_playbook_upgrades_them_and_the_second_run_changes_nothing() -> None:
    """After the states."""
    before = boots()
    play = ("playbooks/hdk.yml", "--limit", "node0,node1,node2")
    first = recap(SITE.play(*play))
    assert {name: (first[name].failed, first[name].unreachable) for name in NAMES[:3]} == dict.fromkeys(
        NAMES[:3], (0, 0)
    )
    assert [first[name].changed > 0 for name in NAMES[:3]] == [True, True, False]
    assert [versions(name) for name in NAMES[:3]] == [WANTED] * 3
    now = boots()
    assert [after - earlier for earlier, after in zip(before, now, strict=True)] == [1, 1, 0, 0]
    second = recap(SITE.play(*play))
    assert [second[name].changed for name in NAMES[:3]] == [0, 0, 0]
    assert boots() == now


def test_up_heals_a_killed_supervisor_whose_hosts_went_dark() -> None:
    identity = process.recorded(LAB.supervisor)
    assert identity is not None
    os.kill(identity.pid, signal.SIGKILL)
    eventually(lambda: states() == ["off"] * len(NAMES))
    eventually(lambda: not Group(path=LAB.netns).members())
    up()
    assert all(answers(name) for name in NAMES)
    assert len(supervisors(LAB)) == 1


def test_fifty_hosts_answer_with_their_own_keys() -> None:
    before = boots()
    up("--hosts", "50", "--off")
    assert states() == ["running"] * len(NAMES) + ["off"] * (50 - len(NAMES))
    up()
    assert states() == ["running"] * 50
    assert boots()[: len(NAMES)] == before
    addresses = [host.address for host in LAB.hosts(50)]
    scan = run(SITE.inside("ssh-keyscan", "-t", "ed25519", "-T", "60", *addresses), log=NAME)
    told = {line for line in scan.stdout.splitlines() if not line.startswith("#")}
    assert told == set(LAB.known_hosts.read_text().splitlines())


def test_down_leaves_nothing_of_hanging_hosts() -> None:
    for pid in Group(path=LAB.netns).members():
        # Servers of connections that have ended go away by themselves.
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGSTOP)
    did("down")
    assert left_behind(LAB) == NOTHING


def test_down_leaves_nothing_after_a_crash_in_the_middle_of_up() -> None:
    argv = SITE.lab_argv("up", "--no-mindspore", "--light", "--hosts", "8")
    crashed = subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    eventually(lambda: "boot" in host_state.events(LAB.host(0)))
    crashed.kill()
    crashed.wait()
    assert left_behind(LAB) != NOTHING
    did("down")
    assert left_behind(LAB) == NOTHING


def test_down_needs_no_state_to_find_what_is_left() -> None:
    up("--light", "--hosts", "2")
    for path in (LAB.settings, LAB.supervisor, *(host.supervisor for host in LAB.hosts(2))):
        path.unlink()
    did("down")
    assert left_behind(LAB) == NOTHING
    assert "there is none" in lab("down").stderr
