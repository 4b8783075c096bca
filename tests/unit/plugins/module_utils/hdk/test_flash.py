# SPDX-License-Identifier: Apache-2.0
"""How old a driver the chips' flash allows."""

import pytest
from ansible.module_utils.hdk import flash as hdk_flash

from tests.unit.plugins.module_utils.scripted_host import ScriptedHost

TOOL = "/usr/local/Ascend/driver/tools/upgrade-tool"
CAPABILITIES = "# number,version\n100,23.0.3\n200,23.0.7\n235,24.1.rc3\n\n300,25.2.0\n"


@pytest.fixture
def host(tmp_path):
    host = ScriptedHost(tmp_path)
    host.write(TOOL[1:], "")
    host.write("usr/local/Ascend/driver/script/version_cap.map", CAPABILITIES)
    return host


def base(host, answer, rc=0):
    host.answer(f"{TOOL} --device_index -1 --hw_base_version", answer, rc)
    return hdk_flash.flash_base(host.run, "/usr/local/Ascend", host.root)


@pytest.mark.parametrize(
    ("numbers", "expected"),
    [
        ((0, 0), None),
        ((100, 235), "24.1.rc3"),
        ((201, 0), "24.1.rc3"),
        ((301, 301), None),
    ],
)
def test_the_chip_that_asks_for_most_decides(host, numbers, expected):
    text = "".join(f'{{"device_id":{chip}, "hw_base_version":{number}}}\n' for chip, number in enumerate(numbers))
    assert base(host, text) == expected


@pytest.mark.parametrize("rest", ["}", ', "x":1}', ', "hw_base_version":301}'])
def test_the_number_for_the_driver_counts_among_others(host, rest):
    assert base(host, f'{{"device_id":0, "driver":201{rest}\n{{"device_id":1, "driver" : 100{rest}\n') == "24.1.rc3"


def test_a_damaged_number_of_one_chip_leaves_those_of_the_others(host):
    assert base(host, '{"device_id":0, "driver":crc_error}\n{"device_id":1, "driver":201}\n') == "24.1.rc3"


@pytest.mark.parametrize("answer", ["", '{"device_id":0, "hw_base_version":crc_error}\n', "Usage: upgrade-tool\n"])
def test_without_a_number_nothing_is_known(host, answer):
    assert base(host, answer, rc=1) is None


def test_without_a_tool_nobody_is_asked(tmp_path):
    host = ScriptedHost(tmp_path)
    assert hdk_flash.flash_base(host.run, "/usr/local/Ascend", host.root) is None
    assert host.asked == []
