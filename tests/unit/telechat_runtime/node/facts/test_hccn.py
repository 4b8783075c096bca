# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import pytest

from telechat_runtime.node.facts import hccn

TOOL = """\
#!/bin/sh
shift
case "$2" in
-ip) [ "$1" = 0 ] && printf 'ipaddr:198.51.100.10\\nnetmask:255.255.255.0\\n' ;;
-link) echo "link status: UP" ;;
-net_health) echo "net health status: Receive timeout" ;;
-tls) echo "dev_id:$1, tls switch[1](0:disable, 1:enable), tls alarm time threshold[60]days" ;;
-ping) [ "$5" = 198.51.100.99 ] && echo "3 packets transmitted, 0 received, 100.00% packet loss" \
  || echo "$7 packets transmitted, $7 received, 0.00% packet loss" ;;
esac
exit 1
"""


@pytest.fixture
def tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    program = tmp_path / "hccn_tool"
    program.write_text(TOOL)
    program.chmod(0o755)
    for number in range(2):
        (tmp_path / f"davinci{number}").touch()
    monkeypatch.setattr(hccn, "_TOOL", str(program))
    monkeypatch.setattr(hccn, "_DEVICES", str(tmp_path / "davinci[0-9]*"))
    return program


def test_what_the_tool_says_counts_not_how_it_ends(tool: Path) -> None:
    assert hccn.look() == {
        "program": str(tool),
        "devices": [
            {"device": number, "address": address, "link": "UP", "net_health": "Receive timeout", "tls": "1"}
            for number, address in ((0, "198.51.100.10"), (1, None))
        ],
    }


@pytest.mark.usefixtures("tool")
def test_pings_by_device_and_address() -> None:
    found = hccn.ping([[0, "198.51.100.11"], [1, "198.51.100.99"]])
    assert found["results"] == [
        {"device": 0, "address": "198.51.100.11", "answered": True},
        {"device": 1, "address": "198.51.100.99", "answered": False},
    ]


@pytest.mark.usefixtures("tool")
def test_a_ping_for_which_there_is_no_time_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hccn, "PING_SECONDS", -1.0)
    assert hccn.ping([[0, "198.51.100.11"]])["results"][0]["answered"] is None


def test_no_tool(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hccn, "_TOOL", "/nonexistent")
    assert hccn.look() == {"program": None, "devices": []}


@pytest.mark.parametrize(
    ("text", "answered"),
    [
        ("3 packets transmitted, 3 received, 0.00% packet loss", True),
        ("3 packets transmitted, 2 received, 33.33% packet loss", False),
        ("0 packets transmitted, 0 received", False),
        ("Command execute failed!", None),
    ],
)
def test_the_result_of_a_ping(text: str, answered: object) -> None:
    assert hccn.parse_ping(text) is answered
