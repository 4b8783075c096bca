# SPDX-License-Identifier: Apache-2.0
"""What the look and the plan make of each captured server, and doctor's readers of its tools' answers."""

import platform
from pathlib import Path

import pytest
from ansible.module_utils.hdk import look as hdk_look

from telechat_runtime.node.facts import hccn
from tests.support.captured_host import CapturedHost, load_captures

CAPTURES = load_captures(Path(__file__).parents[4] / "captures")
RELEASE = {
    "driver": {"file": "driver.run", "path": "/cache/driver.run", "version": "24.1.rc3", "sha256": "0a"},
    "firmware": {"file": "firmware.run", "path": "/cache/firmware.run", "version": "7.5.0.1.129", "sha256": "0b"},
}
# What it takes to bring each to RELEASE, and what forbids it.
EXPECTED = {
    "simulated-same": ([], []),
    "simulated-half-installed-driver": (
        ["install driver", "reboot", "install firmware", "reboot"],
        [],
    ),
}


@pytest.fixture(params=CAPTURES)
def captured(request, tmp_path, monkeypatch):
    host = CapturedHost(CAPTURES[request.param], tmp_path)
    monkeypatch.setattr(platform, "machine", lambda: host.machine)
    monkeypatch.setattr(platform, "release", lambda: host.release)
    return request.param, host


def test_each_capture_has_an_expectation():
    assert set(EXPECTED) == set(CAPTURES)


def test_the_plan_for_a_captured_server(captured):
    name, host = captured
    settings = {
        "packages": {host.machine: RELEASE},
        "chip": "910b",
        "npu_count": len({path.rpartition("/")[0] for path in CAPTURES[name]["files"] if "/pci/devices/" in path}),
        "reboot": "guide",
        "allow_downgrade": False,
        "can_reboot": True,
        "os_packages": {},
        "user": "HwHiAiUser",
        "group": "HwHiAiUser",
        "uid": None,
        "gid": None,
        "durations": {"driver": 180, "firmware": 120, "uninstall": 60, "reboot": 300},
    }
    seen = hdk_look.look(settings, host.run, host.family, host.root)
    steps, problems = EXPECTED[name]
    assert [f"{step.action} {step.component or ''}".strip() for step in seen.plan.steps] == steps
    assert [problem.check for problem in seen.problems()] == problems


def test_hccn_tool_of_a_captured_server_is_understood(captured):
    name, _host = captured
    answers = [each for each in CAPTURES[name]["commands"] if each["argv"][0].endswith("hccn_tool")]
    for chip in {each["argv"][2] for each in answers}:
        texts = {each["argv"][3]: each["stdout"] for each in answers if each["argv"][2] == chip}
        found = hccn.parse_answers({"link": texts["-link"], "net_health": texts["-net_health"], "tls": texts["-tls"]})
        assert [name for name in ("link", "net_health", "tls") if found[name] is None] == []
