# SPDX-License-Identifier: Apache-2.0
"""All hosts' answers to the one look as lines for people: what is wrong, or what is going to be done."""

import re

from ansible.release import __version__ as ansible_version

# A Python older than ansible-core's oldest stumbles over its modules before one of them can say so.
TOO_OLD = re.compile(r"SyntaxError|requires a minimum of Python|future feature annotations is not defined")


def preflight_problems(looks, control_side):
    """Return a line a problem: host, what was found, the rule, the next step. `looks` is host → `ascend_info`."""
    lines = [_line("control side", problem) for problem in control_side]
    for host, look in looks.items():
        if "problems" in look:
            lines += [_line(host, problem) for problem in look["problems"]]
        else:
            lines.append(_line(host, _no_answer(look)))
    return lines


def preflight_plan(looks, control_side):
    """Return the cautions, one line a host and role with something to do, and how many hosts have nothing to do."""
    cautions = [f"caution: {_line('control side', found)}" for found in control_side]
    cautions += [f"caution: {_line(host, found)}" for host, look in looks.items() for found in look["cautions"]]
    plans = [f"{host}: {role}: {reason}" for host, look in looks.items() for role, reason in look["pending"].items()]
    lines = [*cautions, *plans]
    ready = sum(1 for look in looks.values() if not look["pending"])
    return [*lines, f"nothing to do on {ready} of {len(looks)} hosts"] if ready else lines


def _line(where, problem):
    return f"{where}: {problem['check']}: {problem['value']} (rule: {problem['rule']}) -> {problem['next_step']}"


def _no_answer(look):
    if TOO_OLD.search(f"{look.get('module_stderr')} {look.get('msg')}"):
        return {
            "check": "python",
            "value": "its Python is too old for this control side",
            "rule": f"modules of ansible-core {ansible_version} run on it",
            "next_step": "openEuler 20.03 and Kylin V10 bring Python 3.7: use a control side with ansible-core 2.17"
            " and set preflight_python_minimum: '3.7'; a newer ansible_python_interpreter has no python3-dnf there",
        }
    what = look.get("msg") or look.get("module_stderr") or "it gave no answer"
    return {
        "check": "unreachable" if look.get("unreachable") else "python",
        "value": " ".join(str(what).split()),
        "rule": "Ansible reaches the host and runs Python there",
        "next_step": "mend its connection or its ansible_python_interpreter, or leave it out with --limit",
    }


class FilterModule:
    def filters(self):
        return {"preflight_problems": preflight_problems, "preflight_plan": preflight_plan}
