# SPDX-License-Identifier: Apache-2.0
"""npu-smi in the shapes of real ones: lines are compared as a whole."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from lab.vendor import faults

if TYPE_CHECKING:
    from bare_server import Server
    from conftest import Packages

pytestmark = pytest.mark.lab

HEAD = """\
+------------------------------------------------------------------------------------------------+
| npu-smi 23.0.3                   Version: 23.0.3                                               |
+---------------------------+---------------+----------------------------------------------------+
| NPU   Name                | Health        | Power(W)    Temp(C)           Hugepages-Usage(page)|
| Chip                      | Bus-Id        | AICore(%)   Memory-Usage(MB)  HBM-Usage(MB)        |
+===========================+===============+====================================================+
| 0     910B2               | OK            | 91.3        33                0    / 0             |
| 0                         | 0000:C1:00.0  | 0           0    / 0          3161 / 65536         |
+===========================+===============+====================================================+
"""
PROCESSES = """\
+---------------------------+---------------+----------------------------------------------------+
| NPU     Chip              | Process id    | Process name             | Process memory(MB)      |
+===========================+===============+====================================================+
| No running processes found in NPU 0                                                            |
+===========================+===============+====================================================+
"""
BOARD = """\
	NPU ID                         : 0
	Product Name                   : IT21HMDA_Bin5
	Model                          : NA
	Manufacturer                   : Huawei
	Serial Number                  : 102425528574
	Software Version               : 23.0.3
	Firmware Version               : 7.1.0.5.220
	Compatibility                  : OK
	Board ID                       : 0x60
	PCB ID                         : A
	BOM ID                         : 1
	PCIe Bus Info                  : 0000:C1:00.0
	Slot ID                        : 0
	Class ID                       : NA
	PCI Vendor ID                  : 0x19E5
	PCI Device ID                  : 0xD802
	Subsystem Vendor ID            : 0x19E5
	Subsystem Device ID            : 0x3003
	Chip Count                     : 1
"""


def smi(server: Server, *arguments: str) -> str:
    result = server.run("npu-smi", *arguments)
    assert result.returncode == 0, result.stdout
    return result.stdout


def test_info(running_server: Server) -> None:
    output = smi(running_server, "info")
    assert output.startswith(HEAD)
    assert PROCESSES in output
    assert len(re.findall(r"^\| [0-7]     910B2 ", output, re.MULTILINE)) == 8
    assert len({len(line) for line in output.splitlines()}) == 1


def test_the_first_version_is_the_tools_and_the_second_the_loaded_drivers(old_server: Server, runs: Packages) -> None:
    faults.set_fault(old_server.hardware, "hot_reset_failure")
    old_server.install(runs.driver("24.1.rc3"), "--upgrade")
    assert "| npu-smi 24.1.rc3                 Version: 23.0.3      " in smi(old_server, "info")


def test_a_process_that_holds_a_chip_is_listed_with_its_name_cut(old_server: Server) -> None:
    script = "cp /bin/sleep /var/sglangscheduler; exec /var/sglangscheduler 60 </dev/davinci7"
    process = old_server.start("sh", "-c", script)
    while "sglangschedul" not in old_server.run("npu-smi", "info").stdout:
        assert process.poll() is None
    row = re.search(r"^\| 7       0                 \| .*$", smi(old_server, "info"), re.MULTILINE)
    assert row is not None
    shape = r"\| 7       0                 \| \d+ +\| sglangschedul            \| \d+ +\|"
    assert re.fullmatch(shape, row[0])
    assert len(row[0]) == 98
    assert "No running processes found in NPU 7" not in smi(old_server, "info")


def test_newer_drivers_have_a_fifth_column_of_processes(server: Server, runs: Packages) -> None:
    server.install(runs.driver("25.2.0"))
    output = smi(server, "info")
    assert "| Process id in container " in output
    assert "| npu-smi 25.2.0 " in output


def test_full_hbm_has_no_blank_before_the_slash(running_server: Server) -> None:
    faults.set_fault(running_server.hardware, "hbm_held", 0)
    assert "| 0           0    / 0          23161/ 65536         |" in smi(running_server, "info")
    assert smi(running_server, "set", "-t", "reset", "-i", "0", "-c", "0").startswith(
        "\tStatus                         : OK"
    )
    assert "3161 / 65536" in smi(running_server, "info")
    assert faults.read(running_server.hardware) == {}


def test_board(running_server: Server) -> None:
    assert smi(running_server, "info", "-t", "board", "-i", "0") == BOARD


def test_compatibility_is_judged_by_the_drivers_own_ranges(old_server: Server, runs: Packages) -> None:
    old_server.install(runs.firmware("25.2.0"), "--upgrade")
    old_server.reboot()
    board = smi(old_server, "info", "-t", "board", "-i", "0")
    assert "\tFirmware Version               : 7.7.0.6.236\n\tCompatibility                  : NG\n" in board


def test_health(running_server: Server) -> None:
    expected = "\tHealth Status                  : OK\n\tError Code                     : NA\n"
    assert smi(running_server, "info", "-i", "0", "-c", "0", "-t", "health") == (
        expected + "\tError Information              : NA\n"
    )


def test_a_chip_in_alarm_is_the_only_one(running_server: Server) -> None:
    faults.set_fault(running_server.hardware, "chip_alarm", 5)
    words = re.findall(r"^\| (\d)     910B2 +\| (\w+)", smi(running_server, "info"), re.MULTILINE)
    assert words == [(str(number), "Alarm" if number == 5 else "OK") for number in range(8)]
    lines = smi(running_server, "info", "-t", "health", "-i", "5", "-c", "0").splitlines()
    assert lines[:3] == [
        "\tHealth Status                  : Alarm",
        "\tError Code                     : A4025021 8C03A000 8C084E00",
        "\tError Information              : ascend_monitor adda heart beat lost error",
    ]
    assert lines[3].startswith("\t                               : ")


def test_a_critical_chip(running_server: Server) -> None:
    faults.set_fault(running_server.hardware, "chip_critical", 0)
    assert "\tHealth Status                  : Critical\n" in smi(running_server, "info", "-t", "health", "-i", "0")


def test_mapping_has_a_chip_and_an_mcu_for_each_npu(running_server: Server) -> None:
    lines = smi(running_server, "info", "-m").splitlines()
    assert [line.split()[:3] for line in lines[1:3]] == [["0", "0", "0"], ["0", "1", "-"]]
    assert lines[0].split("  ")[0] == "\tNPU ID"
    assert sum(line.rstrip().endswith("Ascend 910B2") for line in lines) == 8
    assert sum(line.rstrip().endswith("Mcu") for line in lines) == 8


def test_listing(running_server: Server) -> None:
    output = smi(running_server, "info", "-l")
    assert output.startswith("\tTotal Count                    : 8\n")
    assert output.count("\tNPU ID                         : ") == 8


def test_usages(running_server: Server) -> None:
    output = smi(running_server, "info", "-t", "usages", "-i", "2")
    assert "\tHBM Capacity(MB)               : 65536\n" in output
    assert "\tHBM Usage Rate(%)              : 4\n" in output


def test_topology_joins_all_chips_by_hccs(running_server: Server) -> None:
    assert smi(running_server, "info", "-t", "topo").count("HCCS") == 56


def test_process_memory_of_an_idle_chip(running_server: Server) -> None:
    output = smi(running_server, "info", "-t", "proc-mem", "-i", "1")
    assert "Process id" not in output
    assert "\tNPU ID                         : 1\n" in output


def test_an_unknown_card(running_server: Server) -> None:
    result = running_server.run("npu-smi", "info", "-t", "board", "-i", "9")
    assert result.returncode != 0
    assert result.stdout == (
        "Invalid card id.\nError parameter of -i\nUsage: npu-smi info <watch|proc|-h|-m|-l|-t type> [Options...]\n"
    )


@pytest.mark.parametrize("arguments", [("info", "-t", "coffee", "-i", "0"), ("info", "-t"), ("info", "-x", "1"), ()])
def test_what_it_does_not_know_gives_its_usage(running_server: Server, arguments: tuple[str, ...]) -> None:
    result = running_server.run("npu-smi", *arguments)
    assert result.returncode != 0
    assert "Usage: npu-smi" in result.stdout


def test_a_chip_whose_board_is_not_available(running_server: Server) -> None:
    faults.set_fault(running_server.hardware, "board_na", 3)
    board = smi(running_server, "info", "-t", "board", "-i", "3")
    assert "\tSoftware Version               : NA\n\tFirmware Version               : NA\n" in board
    assert smi(running_server, "info", "-t", "board", "-i", "0") == BOARD


def test_a_chip_whose_board_query_fails(running_server: Server) -> None:
    faults.set_fault(running_server.hardware, "board_fails", 3)
    assert running_server.run("npu-smi", "info", "-t", "board", "-i", "3").returncode == 1
    assert smi(running_server, "info", "-t", "board", "-i", "0") == BOARD


def test_a_chip_whose_board_query_hangs(running_server: Server) -> None:
    faults.set_fault(running_server.hardware, "board_hangs", 3)
    asked = running_server.start("npu-smi", "info", "-t", "board", "-i", "3")
    assert smi(running_server, "info", "-t", "board", "-i", "0") == BOARD
    assert asked.poll() is None


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("npu_smi_8005", "dcmi module initialize failed. ret is -8005\n"),
        ("npu_smi_8020", "dcmi model initialized failed, because the device is used. ret is -8020\n"),
    ],
)
def test_initialisation_errors(running_server: Server, fault: str, words: str) -> None:
    faults.set_fault(running_server.hardware, fault)
    result = running_server.run("npu-smi", "info")
    assert result.returncode != 0
    assert result.stdout == "DrvMngGetConsoleLogLevel failed. (g_conLogLevel=3)\n" + words


def test_a_chip_in_use_is_not_reset(old_server: Server) -> None:
    process = old_server.start("sh", "-c", "exec 3</dev/davinci2; echo held; read stop")
    old_server.wait_for(process, "held")
    result = old_server.run("npu-smi", "set", "-t", "reset", "-i", "2", "-c", "0")
    assert result.returncode != 0
    assert "occupied" in result.stdout
