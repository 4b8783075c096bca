# SPDX-License-Identifier: Apache-2.0

import pytest

from plugins.filter.preflight_report import (
    preflight_cautions,
    preflight_plan,
    preflight_problems,
    preflight_problems_by_host,
)

CLOCK = {"check": "clock", "value": "90 s ahead", "rule": "at most 60 s", "next_step": "let chrony set it"}
CLOCK_LINE = "clock: 90 s ahead (rule: at most 60 s) -> let chrony set it"
KEPT = {"check": "packages", "value": "driver 23.0.3 is gone", "rule": "it is kept", "next_step": "bring it again"}
KEPT_LINE = "packages: driver 23.0.3 is gone (rule: it is kept) -> bring it again"
SILENT = {"unreachable": True, "msg": "timed out"}


def look(pending=None, problems=(), cautions=()):
    return {"pending": pending or {}, "problems": list(problems), "cautions": list(cautions)}


def test_problems_of_all_hosts_and_of_the_control_side():
    looks = {"node0": look(), "node1": look(problems=[CLOCK, CLOCK])}
    assert preflight_problems(looks, [CLOCK]) == [
        f"control side: {CLOCK_LINE}",
        f"node1: {CLOCK_LINE}",
        f"node1: {CLOCK_LINE}",
    ]


def test_fit_hosts_have_no_lines():
    assert preflight_problems({"node0": look()}, []) == []


def test_an_unreachable_host_is_a_problem():
    (line,) = preflight_problems({"node0": {"unreachable": True, "msg": "ssh: connect to host:\n timed out"}}, [])
    assert line.startswith("node0: unreachable: ssh: connect to host: timed out (rule: ")
    assert "--limit" in line


def test_a_host_without_a_python_is_a_problem():
    (line,) = preflight_problems({"node0": {"msg": "", "module_stderr": "/usr/bin/python3: not found"}}, [])
    assert line.startswith("node0: python: /usr/bin/python3: not found")


@pytest.mark.parametrize(
    "answer",
    [
        # Python 3.7 under ansible-core 2.19, 3.6 under 2.17, and what a module of 2.19 says where it comes that far.
        {
            "msg": "Module result deserialization failed: No start of json char found",
            "module_stderr": "    def import_controller_module(_name: str, /) -> t.Any:\nSyntaxError: invalid syntax",
        },
        {"msg": "MODULE FAILURE", "module_stderr": "SyntaxError: future feature annotations is not defined"},
        {"msg": "ansible-core requires a minimum of Python version 3.8. Current version: 3.7.9"},
    ],
)
def test_a_python_that_ansible_has_left_behind_is_named_with_the_way_out(answer):
    (line,) = preflight_problems({"node0": answer}, [])
    assert line.startswith("node0: python: its Python is too old")
    assert "ansible-core 2.17" in line
    assert "preflight_python_minimum is 3.7" in line


@pytest.mark.parametrize(
    ("answer", "value", "remedy"),
    [
        ({"module_stderr": "sudo: sorry, you must have a tty to run sudo\n"}, "requiretty", "ANSIBLE_PIPELINING=0"),
        ({"msg": "Missing sudo password"}, "asks for a password", "--ask-become-pass"),
        ({"module_stderr": "sudo: a password is required\n", "msg": "MODULE FAILURE"}, "asks for a password", "(-K)"),
        ({"msg": "Incorrect sudo password"}, "does not take the password", "run again with the password"),
        ({"module_stderr": "lin is not in the sudoers file."}, "may not use sudo", "let ansible_user run sudo"),
    ],
)
def test_what_sudo_refuses_is_named_with_its_remedy(answer, value, remedy):
    (line,) = preflight_problems({"node0": {"failed": True, **answer}}, [])
    assert value in line
    assert remedy in line


def test_the_plan_names_roles_and_reasons():
    looks = {"node0": look({"ascend_hdk": "install driver", "verify": "stands on ascend_hdk"}), "node1": look()}
    assert preflight_plan(looks, []) == [
        "node0: ascend_hdk: install driver",
        "node0: verify: stands on ascend_hdk",
        "nothing to do on 1 of 2 hosts",
    ]


def test_the_plan_of_busy_hosts_only():
    assert preflight_plan({"node0": look({"verify": "never verified"})}, []) == ["node0: verify: never verified"]


def test_cautions_come_before_the_plan_and_hold_nothing_up():
    looks = {"node0": look(cautions=[CLOCK]), "node1": look({"verify": "never verified"})}
    assert preflight_plan(looks, []) == [
        f"caution: node0: {CLOCK_LINE}",
        "node1: verify: never verified",
        "nothing to do on 1 of 2 hosts",
    ]


def test_cautions_of_the_control_side_come_first():
    assert preflight_plan({"node0": look(cautions=[CLOCK])}, [CLOCK])[:2] == [
        f"caution: control side: {CLOCK_LINE}",
        f"caution: node0: {CLOCK_LINE}",
    ]


def test_problems_by_host_are_those_of_its_look_and_of_the_packages_that_it_kept():
    looks = {"node0": look(problems=[CLOCK]), "node1": look(), "node2": look(problems=[CLOCK])}
    kept = {"node0": {"problems": [KEPT]}, "node1": {"problems": []}}
    assert preflight_problems_by_host(looks, kept) == {"node0": [CLOCK, KEPT], "node1": [], "node2": [CLOCK]}
    assert preflight_problems_by_host(looks)["node0"] == [CLOCK]
    assert preflight_problems(looks, [], kept)[:2] == [f"node0: {CLOCK_LINE}", f"node0: {KEPT_LINE}"]


def test_a_host_that_gave_no_answer_has_that_problem_alone():
    found = preflight_problems_by_host({"node0": SILENT, "node1": look()}, {"node0": {"problems": [KEPT]}})
    assert [problem["check"] for problem in found["node0"]] == ["unreachable"]
    assert found["node0"][0]["value"] == "timed out"
    assert found["node1"] == []


def test_cautions_of_those_that_answered():
    looks = {"node0": SILENT, "node1": look(cautions=[CLOCK]), "node2": look()}
    assert preflight_cautions(looks, [KEPT]) == [
        f"caution: control side: {KEPT_LINE}",
        f"caution: node1: {CLOCK_LINE}",
    ]
