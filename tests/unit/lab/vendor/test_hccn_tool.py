# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lab.vendor import faults

if TYPE_CHECKING:
    from bare_server import Server

pytestmark = pytest.mark.lab

TOOL = "/usr/local/Ascend/driver/tools/hccn_tool"
CONF = "address_0=198.51.100.10\nnetmask_0=255.255.255.0\nnetdetect_0=198.51.100.1\ngateway_0=198.51.100.1\n"


def hccn(server: Server, *arguments: str, code: int = 0) -> str:
    result = server.run(TOOL, *arguments)
    assert result.returncode == code, result.stdout
    return result.stdout


@pytest.fixture
def configured(running_server: Server) -> Server:
    running_server.path("/etc/hccn.conf").write_text(CONF)
    return running_server


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("-ip", "ipaddr:198.51.100.10\nnetmask:255.255.255.0\n"),
        ("-link", "link status: UP\n"),
        ("-net_health", "net health status: Success\n"),
        ("-netdetect", "netdetect address: 198.51.100.1\n"),
        ("-gateway", "default gateway:198.51.100.1, Iface:eth0\n"),
        (
            "-tls",
            (
                "dev_id:0, tls switch[0](0:disable, 1:enable), tls preconfigured[1](0:non-preset, 1:preset), "
                "tls alarm time threshold[60]days\n"
            ),
        ),
        ("-lldp", "\tIfname: 400GE1/1/1:1\n"),
        ("-mac", "mac addr: 02:00:5e:10:00:00\n"),
        ("-fec", "fec mode: rs FEC mode\n"),
    ],
)
def test_queries(configured: Server, command: str, said: str) -> None:
    assert hccn(configured, "-i", "0", command, "-g") == said


@pytest.mark.parametrize("command", ["-ip", "-netdetect", "-gateway"])
def test_what_is_not_set_prints_nothing(configured: Server, command: str) -> None:
    assert hccn(configured, "-i", "1", command, "-g") == ""


def test_without_a_detection_address_net_health_is_init(configured: Server) -> None:
    assert hccn(configured, "-i", "1", "-net_health", "-g") == "net health status: Init\n"


def test_a_link_that_is_down(configured: Server) -> None:
    faults.set_fault(configured.hardware, "link_down", 0)
    assert hccn(configured, "-i", "0", "-link", "-g") == "link status: DOWN\n"
    assert hccn(configured, "-i", "0", "-net_health", "-g") == "net health status: Fault\n"
    assert hccn(configured, "-i", "1", "-link", "-g") == "link status: UP\n"
    assert "3 packets transmitted, 0 received, 100.00% packet loss" in hccn(
        configured, "-i", "0", "-ping", "-g", "address", "198.51.100.11"
    )


def test_net_health_as_injected(configured: Server) -> None:
    faults.set_fault(configured.hardware, "net_health", "Receive timeout")
    assert hccn(configured, "-i", "3", "-net_health", "-g") == "net health status: Receive timeout\n"


def test_ping(configured: Server) -> None:
    assert hccn(configured, "-i", "0", "-ping", "-g", "address", "198.51.100.11", "pkt", "2") == (
        "device 0 PING 198.51.100.11\nrecv seq=0,time=0.114000ms\nrecv seq=1,time=0.115000ms\n"
        "2 packets transmitted, 2 received, 0.00% packet loss\n"
    )


def test_an_address_that_is_set_stays_over_a_reboot(old_server: Server) -> None:
    address = ("address", "198.51.100.23", "netmask", "255.255.255.0")
    assert hccn(old_server, "-i", "2", "-ip", "-s", *address) == "Cmd executed successfully!\n"
    hccn(old_server, "-i", "2", "-netdetect", "-s", "address", "198.51.100.1")
    hccn(old_server, "-i", "2", "-gateway", "-s", "gateway", "198.51.100.1")
    old_server.reboot()
    assert hccn(old_server, "-i", "2", "-ip", "-g").startswith("ipaddr:198.51.100.23\n")
    assert old_server.text("/etc/hccn.conf") == (
        "address_2=198.51.100.23\nnetmask_2=255.255.255.0\nnetdetect_2=198.51.100.1\ngateway_2=198.51.100.1\n"
    )


def test_the_tls_switch_is_in_the_chip(old_server: Server) -> None:
    assert hccn(old_server, "-i", "4", "-tls", "-s", "enable", "1") == "Cmd executed successfully!\n"
    old_server.reboot()
    assert "tls switch[1]" in hccn(old_server, "-i", "4", "-tls", "-g")
    assert "tls switch[0]" in hccn(old_server, "-i", "5", "-tls", "-g")


def test_recovery_applies_the_configuration_to_all(configured: Server) -> None:
    lines = hccn(configured, "-a", "-cfg", "recovery").splitlines()
    assert lines == [f"dev:{number} recovery success" for number in range(8)]
    assert "dev:7 recovery success" in configured.text("/var/log/hccn_tool/hccn_config.log")


def test_recovery_fails_with_one_device(configured: Server) -> None:
    faults.set_fault(configured.hardware, "link_down", 3)
    assert "dev:3 recovery failed\n" in hccn(configured, "-a", "-cfg", "recovery", code=1)


@pytest.mark.parametrize(
    "arguments",
    [
        ("-i", "9", "-ip", "-g"),
        ("-i", "0", "-coffee", "-g"),
        ("-i", "0", "-ip", "-s", "address"),
        ("-i", "0", "-tls", "-s", "enable", "2"),
        ("-i", "0", "-ping", "-g"),
    ],
)
def test_what_it_cannot_do(running_server: Server, arguments: tuple[str, ...]) -> None:
    assert "Command execute failed!" in hccn(running_server, *arguments, code=1)


def test_without_a_loaded_driver_nothing_works(old_server: Server) -> None:
    old_server.power_off()
    hccn(old_server, "-i", "0", "-link", "-g", code=1)
