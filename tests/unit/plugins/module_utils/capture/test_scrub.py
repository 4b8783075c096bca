# SPDX-License-Identifier: Apache-2.0
import ipaddress
import re

import pytest
from ansible.module_utils.ascend import npu_smi
from ansible.module_utils.capture.scrub import SERIAL, Scrubber, names_in_hosts
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize(
    "text",
    [
        "Software Version               : 24.1.0.3",
        "| npu-smi 24.1.0.3                Version: 24.1.0.3 |",
        "Version=24.1.0.3\npackage_version=24.1.0.3",
        "Firmware Version : 7.5.0.1.129",
        "Ascend-hdk-910b-npu-driver_24.1.0.3_linux-aarch64.run",
        "compatible_version_fw=[7.0.0,7.6.99]",
        "0000:C1:00.0",
        "[2026-07-21 20:22:33] [INFO]Start time: 2026-07-21 20:22:33",
        "inet 127.0.0.1 netmask 255.255.255.0",
        "4.19.90-2112.8.0.0131.oe1.aarch64",
        "http://localhost:8080/",
        "::1 localhost ip6-localhost",
    ],
)
def test_what_parsers_need_stays(text):
    assert Scrubber(["localhost", "node7"]).text(text) == text


@pytest.mark.parametrize(
    ("text", "scrubbed"),
    [
        ("ipaddr:10.20.0.11", "ipaddr:192.0.2.1"),
        ("10.20.0.11 and 10.20.0.12, 10.20.0.11 again.", "192.0.2.1 and 192.0.2.2, 192.0.2.1 again."),
        ("10.20.0.11:8118 10.20.0.0/24", "192.0.2.1:8118 192.0.2.2/24"),
        ("fe80::1ff:fe23:4567:890a%eth0", "2001:db8::1%eth0"),
        ("link/ether 3c:c7:86:01:02:03 brd", "link/ether 02:00:00:00:00:00 brd"),
        ("Serial Number                  : 2102313LMX10L1234567", f"Serial Number                  : {SERIAL}"),
        ("VDie ID : 41D2F8C4 20205C9D", f"VDie ID : {SERIAL}"),
        ("HTTP_PROXY=http://lin:secret@proxy.corp.cn:3128/", "HTTP_PROXY=http://host0:3128/"),
        ("nas7.corp.cn:/volumes/data 10T", "host0:/volumes/data 10T"),
        ("Linux node7 5.10.0 #1", "Linux host0 5.10.0 #1"),
        ("NODE7.corp.cn", "host0.corp.cn"),
    ],
)
def test_what_tells_whose_server_it_is_goes(text, scrubbed):
    assert Scrubber(["node7"]).text(text) == scrubbed


def test_the_names_of_a_hosts_file_but_the_loopbacks():
    assert names_in_hosts("127.0.0.1 localhost\n# 10.0.0.1 old\n10.0.0.2 node7 node7.corp.cn # rack 3\n\n") == [
        "localhost",
        "node7",
        "node7.corp.cn",
    ]


# No server has an address that is for documentation.
STAND_INS = [
    ipaddress.ip_network(text) for text in ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32")
]
ADDRESSES = st.ip_addresses().filter(
    lambda ip: (
        not (ip.is_loopback or ip.is_unspecified or str(ip).startswith("255.") or any(ip in net for net in STAND_INS))
    )
)
AROUND = st.sampled_from(["", " ", "=", ": ", "(", ")", ",", "/24", ":80", "\n", '"', "via ", " dev eth0"])


@given(ADDRESSES, AROUND, AROUND)
def test_no_address_comes_through(address, before, after):
    text = f"{before}{address}{'' if address.version == 6 and after == ':80' else after}"
    assert str(address) not in re.split(r"[^\w:.]+", Scrubber().text(text))


@given(st.lists(ADDRESSES, max_size=60, unique=True))
def test_different_addresses_stay_different(addresses):
    scrubbed = Scrubber().text("\n".join(map(str, addresses)))
    assert len(set(scrubbed.split())) == len(addresses)


def test_scrubbing_twice_changes_nothing():
    text = "node7 10.20.0.11 fe80::7 3c:c7:86:01:02:03 Serial Number : 77 http://a:b@c.cn/"
    once = Scrubber(["node7"]).text(text)
    assert Scrubber().text(once) == once


def test_a_board_reads_the_same_afterwards():
    board = """
        NPU ID                         : 0
        Serial Number                  : 2102313LMX10L1234567
        Software Version               : 24.1.0.3
        Firmware Version               : 7.5.0.3.220
        Compatibility                  : OK
    """
    assert npu_smi.parse_board(Scrubber().text(board)) == npu_smi.parse_board(board)


@pytest.mark.parametrize("unit", ["x", "x.", "1.", "1:", "fe80:", "a@", "://a", "serial: ", "serial ", "\n", " "])
def test_a_hostile_log_takes_no_longer_than_its_length(unit):
    """Of a pattern that backtracks this text would take hours, not the second that the rest of the test takes."""
    Scrubber(["node7"]).text(unit * (100_000 // len(unit)))
