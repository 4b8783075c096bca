# SPDX-License-Identifier: Apache-2.0
"""The look at a host: files in a folder, npu-smi in the words of the vendor."""

import json
import os
from pathlib import Path

import pytest
from ansible.module_utils import hdk_facts
from ansible.module_utils.hdk_state import Component, Holder

from tests.unit.plugins.module_utils.scripted_host import BOOT_ID, ScriptedHost

OUTPUTS = Path(__file__).parent / "npu_smi_outputs"
VERSION_INFO = "usr/local/Ascend/driver/version.info"
SMI = "/usr/local/sbin/npu-smi"
CONTAINER = "ab" * 32


def output(name):
    return (OUTPUTS / f"{name}.txt").read_text()


@pytest.fixture
def host(tmp_path):
    return ScriptedHost(tmp_path)


def test_bus_counts_chips_and_no_other_devices_of_the_vendor(host):
    for number in range(8):
        host.chip_on_bus(number)
    host.chip_on_bus(8, device="0xa222")
    host.chip_on_bus(9, device="0xd802", vendor="0x8086")
    host.chip_on_bus(10, device="0xd801")
    assert hdk_facts.bus_devices(host.root) == ["d802"] * 8 + ["d801"]


def test_a_server_without_a_bus(host):
    assert hdk_facts.bus_devices(host.root) == []


def test_nothing_installed(host):
    assert hdk_facts.component("driver", host.root) == Component(None, False, False, False)


def test_installed_by_hand_before_this_boot(host):
    os.utime(host.write(VERSION_INFO, "Version=23.0.3\n"))
    host.write("proc/stat", "btime 99999999999\n")
    assert hdk_facts.component("driver", host.root) == Component("23.0.3", False, False, False)


def test_installed_by_hand_in_this_boot(host):
    host.write(VERSION_INFO, "Version=23.0.3\n")
    assert hdk_facts.component("driver", host.root) == Component("23.0.3", True, False, False)


def record(host, **entry):
    host.write("var/lib/ascend-hdk/record.json", json.dumps({"driver": entry}))


def test_the_record_tells_the_boot_of_an_installation(host):
    host.write(VERSION_INFO, "Version=24.1.rc3\n")
    record(host, version="24.1.rc3", boot_id=BOOT_ID, finished=True, reboot_owed=True)
    assert hdk_facts.component("driver", host.root) == Component("24.1.rc3", True, False, True)
    record(host, version="24.1.rc3", boot_id="another boot", finished=True, reboot_owed=True)
    assert hdk_facts.component("driver", host.root) == Component("24.1.rc3", False, False, False)


def test_a_record_of_another_version_is_out_of_date(host):
    host.write(VERSION_INFO, "Version=25.2.0\n")
    record(host, version="24.1.rc3", boot_id=BOOT_ID, finished=True, reboot_owed=True)
    assert hdk_facts.component("driver", host.root).reboot_owed is False


def test_an_installation_that_did_not_finish(host):
    record(host, version="24.1.rc3", boot_id="another boot", finished=False, reboot_owed=True)
    assert hdk_facts.component("driver", host.root) == Component(None, False, True, False)


def test_a_version_info_cut_short_is_no_installation(host):
    host.write(VERSION_INFO, "Vers")
    assert hdk_facts.component("driver", host.root).on_disk is None


def test_a_broken_record_is_as_none(host):
    host.write(VERSION_INFO, "Version=23.0.3\n")
    host.write("var/lib/ascend-hdk/record.json", "{broken")
    assert hdk_facts.component("driver", host.root).on_disk == "23.0.3"


def install_npu_smi(host, info, board="board_23.0.3_800t_a2", chips=8):
    host.write(SMI[1:], "")
    host.answer(f"{SMI} info", output(info))
    for npu in range(chips):
        host.answer(f"{SMI} info -t board -i {npu}", output(board))


def test_every_chip_with_what_runs_on_it(host):
    install_npu_smi(host, "info_23.0.3_910b2_idle")
    chips, error = hdk_facts.running_chips(host.run, host.root)
    assert error is None
    assert [chip.npu_id for chip in chips] == list(range(8))
    assert {(c.driver_version, c.firmware_version, c.health) for c in chips} == {("23.0.3", "7.1.0.5.220", "OK")}


def test_an_unhealthy_chip_is_asked_for_its_errors(host):
    install_npu_smi(host, "info_25.0.rc1.1_910b4_busy", chips=2)
    host.answer(f"{SMI} info -i 1 -c 0 -t health", output("health_alarm"))
    chips, _ = hdk_facts.running_chips(host.run, host.root)
    assert chips[0].error == ""
    assert chips[1].error.startswith("A4025021 8C03A000 8C084E00 ascend_monitor adda heart beat lost")
    assert sum("health" in command for command in host.asked) == 1


@pytest.mark.parametrize(("name", "words"), [("info_8005", "ret is -8005"), ("info_8020", "ret is -8020")])
def test_why_npu_smi_answers_for_no_chip(host, name, words):
    host.write(SMI[1:], "")
    host.answer(f"{SMI} info", output(name), rc=255)
    chips, error = hdk_facts.running_chips(host.run, host.root)
    assert chips == []
    assert error.endswith(words)


def test_npu_smi_that_dies_in_another_way(host):
    host.write(SMI[1:], "")
    host.answer(f"{SMI} info", "", rc=127, stderr="error while loading shared libraries: libdcmi.so\n")
    _, error = hdk_facts.running_chips(host.run, host.root)
    assert error == "npu-smi info ended with 127: error while loading shared libraries: libdcmi.so"


def test_no_npu_smi(host):
    assert hdk_facts.running_chips(host.run, host.root) == ([], "npu-smi is not installed")


def test_a_folder_named_npu_smi_is_not_the_program(host, tmp_path):
    (tmp_path / SMI[1:]).mkdir(parents=True)
    assert hdk_facts.npu_smi_path(host.root) is None
    host.write("usr/local/bin/npu-smi", "")
    assert hdk_facts.npu_smi_path(host.root) == f"{host.root}/usr/local/bin/npu-smi"


def process(host, pid, name, device, cgroup="0::/init.scope\n"):
    host.write(f"proc/{pid}/comm", name + "\n")
    host.write(f"proc/{pid}/cgroup", cgroup)
    host.link(f"proc/{pid}/fd/3", device)


def test_who_has_an_npu_open(host):
    process(host, 4711, "python3", "/dev/davinci0", f"0::/system.slice/docker-{CONTAINER}.scope\n")
    process(host, 12, "npu-exporter", "/dev/davinci7")
    process(host, 13, "slogd", "/dev/davinci_manager")
    process(host, 14, "bash", "/dev/null")
    host.answer(f"docker inspect --format {{{{.Name}}}} {CONTAINER}", "/telechat\n")
    found = hdk_facts.holders(host.run, host.root)
    assert sorted(found, key=lambda holder: holder.pid) == [
        Holder(12, "npu-exporter", None),
        Holder(4711, "python3", "telechat"),
    ]


def test_a_container_that_docker_does_not_know_keeps_its_id(host):
    process(host, 4711, "python3", "/dev/davinci0", f"0::/kubepods/{CONTAINER}\n")
    (holder,) = hdk_facts.holders(host.run, host.root)
    assert holder.container == CONTAINER[:12]


HEADERS = ["linux-headers-{kernel}"]
QUERY = "dpkg-query -W -f ${Package} ${db:Status-Status}\n linux-headers-6.1.0"


def test_headers_that_are_there(host, tmp_path):
    (tmp_path / "lib/modules/6.1.0/build").mkdir(parents=True)
    assert hdk_facts.kernel_headers(host.run, "Debian", HEADERS, "6.1.0", host.root) == "present"


@pytest.mark.parametrize(
    ("policy", "expected"),
    [("  Candidate: 6.1.0-1\n", "installable"), ("  Candidate: (none)\n", "missing"), ("", "missing")],
)
def test_headers_that_apt_may_know(host, policy, expected):
    host.write("var/lib/apt/lists/deb.example_dists_stable_main_Packages", "")
    host.answer(QUERY, rc=1)
    host.answer("apt-cache policy linux-headers-6.1.0", policy)
    assert hdk_facts.kernel_headers(host.run, "Debian", HEADERS, "6.1.0", host.root) == expected


def test_headers_before_the_first_apt_update(host):
    host.answer(QUERY, rc=1)
    assert hdk_facts.kernel_headers(host.run, "Debian", HEADERS, "6.1.0", host.root) == "unknown"
