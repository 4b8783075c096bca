# SPDX-License-Identifier: Apache-2.0
"""doctor understands what the lab's hccn_tool prints, in the shapes of the real one, in good days and bad."""

from __future__ import annotations

from typing import Any

import pytest

from lab.vendor import faults
from telechat_runtime.node.facts.hccn import parse_answers, parse_ping
from tests.unit.lab.vendor.conftest import lasting_server, old_disks, running_server, runs, zips

__all__ = ["lasting_server", "old_disks", "running_server", "runs", "zips"]
pytestmark = pytest.mark.lab
TOOL = "/usr/local/Ascend/driver/tools/hccn_tool"
COMMANDS = {"address": "-ip", "link": "-link", "net_health": "-net_health", "tls": "-tls"}


def ask(server: Any, device: int) -> dict[str, str | None]:
    texts = {name: server.run(TOOL, "-i", str(device), word, "-g").stdout for name, word in COMMANDS.items()}
    return parse_answers(texts)


def ping(server: Any, device: int) -> bool | None:
    return parse_ping(server.run(TOOL, "-i", str(device), "-ping", "-g", "address", "198.51.100.11", "pkt", "3").stdout)


def test_a_chip_with_an_address_and_one_without(running_server: Any) -> None:
    running_server.path("/etc/hccn.conf").write_text("address_0=198.51.100.10\nnetdetect_0=198.51.100.1\n")
    healthy = {"address": "198.51.100.10", "link": "UP", "net_health": "Success", "tls": "0"}
    assert ask(running_server, 0) == healthy
    assert ask(running_server, 1) == {**healthy, "address": None, "net_health": "Init"}
    assert (ping(running_server, 0), ping(running_server, 1)) == (True, False)


def test_a_link_that_is_down(running_server: Any) -> None:
    running_server.path("/etc/hccn.conf").write_text("address_0=198.51.100.10\n")
    faults.set_fault(running_server.hardware, "link_down", 0)
    assert ask(running_server, 0)["link"] == "DOWN"
    assert ask(running_server, 0)["net_health"] == "Fault"
    assert ping(running_server, 0) is False


def test_a_device_that_is_not_there(running_server: Any) -> None:
    assert ask(running_server, 63) == dict.fromkeys(COMMANDS)
    assert ping(running_server, 63) is None
