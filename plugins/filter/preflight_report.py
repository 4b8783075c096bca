# SPDX-License-Identifier: Apache-2.0
"""All hosts' answers to the one look as lines for people: what is wrong, or what is going to be done."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ansible.release import __version__ as ansible_version

from telechat_runtime.upgrade.observe import told

Problem = Mapping[str, str]
Looks = Mapping[str, Mapping[str, Any]]

# A Python older than ansible-core's oldest stumbles over its modules before one of them can say so.
TOO_OLD = re.compile(r"SyntaxError|requires a minimum of Python|future feature annotations is not defined")
# What sudo says, and Ansible for it, with ansible_become.
SUDO = (
    (
        re.compile(r"sorry, you must have a tty"),
        "sudo asks for a terminal (requiretty), which Ansible gives none",
        "set Defaults:USER !requiretty in its sudoers, as telechat-run needs it, or run with ANSIBLE_PIPELINING=0",
    ),
    (
        re.compile(r"Missing sudo password|sudo: a (?:password|terminal) is required"),
        "sudo asks for a password",
        "run with --ask-become-pass (-K), or let the user run sudo without a password, as telechat-run needs it",
    ),
    (
        re.compile(r"Incorrect sudo password|Sorry, try again"),
        "sudo does not take the password",
        "run again with the password of ansible_user on this host",
    ),
    (
        re.compile(r"is not in the sudoers file|may not run sudo|is not allowed to (?:execute|run sudo)"),
        "its user may not use sudo",
        "let ansible_user run sudo, or log in as root",
    ),
)


def preflight_problems(looks: Looks, control_side: Sequence[Problem], kept_packages: Looks | None = None) -> list[str]:
    """Return a line a problem: host, what was found, the rule, the next step. `looks` is host → `ascend_info`."""
    lines = [_line("control side", problem) for problem in control_side]
    by_host = preflight_problems_by_host(looks, kept_packages)
    return [*lines, *(_line(host, problem) for host, problems in by_host.items() for problem in problems)]


def preflight_problems_by_host(looks: Looks, kept_packages: Looks | None = None) -> dict[str, list[Problem]]:
    """Return host → its problems; one that gave no answer has that one.

    `kept_packages` is host → `hdk_kept_packages`, where the hosts' own packages are wanted.
    """
    return {host: _of_host(look, (kept_packages or {}).get(host, {})) for host, look in looks.items()}


def _of_host(look: Mapping[str, Any], packages: Mapping[str, Any]) -> list[Problem]:
    if "problems" not in look:
        return [_no_answer(look)]
    return [*look["problems"], *packages.get("problems", [])]


def preflight_plan(looks: Looks, control_side: Sequence[Problem]) -> list[str]:
    """Return the cautions, one line a host and role with something to do, and how many hosts have nothing to do."""
    cautions = preflight_cautions(looks, control_side)
    plans = [f"{host}: {role}: {reason}" for host, look in looks.items() for role, reason in look["pending"].items()]
    lines = [*cautions, *plans]
    ready = sum(1 for look in looks.values() if not look["pending"])
    return [*lines, f"nothing to do on {ready} of {len(looks)} hosts"] if ready else lines


def preflight_cautions(looks: Looks, control_side: Sequence[Problem]) -> list[str]:
    """Return a line for each thing that is allowed and may surprise."""
    found = [("control side", caution) for caution in control_side]
    found += [(host, caution) for host, look in looks.items() for caution in look.get("cautions", [])]
    return [f"caution: {_line(where, caution)}" for where, caution in found]


def _line(where: str, problem: Problem) -> str:
    return f"{where}: {told(problem)}"


def _no_answer(look: Mapping[str, Any]) -> Problem:
    if TOO_OLD.search(f"{look.get('module_stderr')} {look.get('msg')}"):
        return {
            "check": "python",
            "value": "its Python is too old for this control side",
            "rule": f"modules of ansible-core {ansible_version} run on it",
            "next_step": "openEuler 20.03, Kylin V10 and EulerOS bring Python 3.7: use a control side with"
            " ansible-core 2.17, whose preflight_python_minimum is 3.7; a newer ansible_python_interpreter has no"
            " python3-dnf there",
        }
    for sign, value, next_step in SUDO:
        if sign.search(f"{look.get('module_stderr')} {look.get('module_stdout')} {look.get('msg')}"):
            return {
                "check": "privileges",
                "value": value,
                "rule": "the roles install software",
                "next_step": next_step,
            }
    what = look.get("msg") or look.get("module_stderr") or "it gave no answer"
    return {
        "check": "unreachable" if look.get("unreachable") else "python",
        "value": " ".join(str(what).split()),
        "rule": "Ansible reaches the host and runs Python there",
        "next_step": "mend its connection or its ansible_python_interpreter, or leave it out with --limit",
    }


class FilterModule:
    def filters(self) -> dict[str, Callable[..., Any]]:
        return {
            "preflight_problems": preflight_problems,
            "preflight_problems_by_host": preflight_problems_by_host,
            "preflight_plan": preflight_plan,
            "preflight_cautions": preflight_cautions,
        }
