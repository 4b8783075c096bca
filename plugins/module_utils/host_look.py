# SPDX-License-Identifier: Apache-2.0
"""The one look at a host: all roles' facts, pending work and problems from one call. Changes nothing."""

from __future__ import annotations

import platform
import time
from dataclasses import asdict
from typing import Any, Dict, List, Optional

from ansible.module_utils import host_checks, stack_look
from ansible.module_utils.command_result import Run
from ansible.module_utils.hdk import look as hdk_look
from ansible.module_utils.hdk.facts import CHIP_DEVICES, bus_devices
from ansible.module_utils.hdk.refusals import bus_problem
from ansible.module_utils.hdk.state import ABSENT
from ansible.module_utils.host_problem import Problem
from ansible.module_utils.node_upgrade import NodeUpgrade
from ansible.module_utils.os_packages import OperatingSystem, operating_system


def look_at_host(parameters: Dict[str, Any], run: Run) -> Dict[str, Any]:
    """Return facts, pending ({role: reason}), problems and cautions for the parameters of `ascend_info`."""
    # Before the look: a chip that does not answer keeps it for minutes, which is no fault of the clock.
    own_time = time.time()
    system = operating_system()
    wishes = dict(parameters["wishes"])
    hdk_wish = wishes.pop(hdk_look.ROLE, None)
    hdk = hdk_look.answer(hdk_wish, run, system.family) if hdk_wish else dict(hdk_look.NOT_ASKED)
    stack = stack_look.look(wishes, run)
    pending = stack_look.spread({**hdk["pending"], **stack["pending"]}, list(parameters["wishes"]), stack["alone"])
    problems = _fitness(parameters, system, own_time) + hdk["problems"]
    problems += host_checks.disk_space(parameters["disk_space"], pending)
    if "docker_engine" in pending or hdk["facts"].get("missing_packages"):
        problems += filter(None, [host_checks.dnf_for_ansible(system.family)])
    facts = {
        "os": asdict(system),
        "architecture": platform.machine(),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "node": NodeUpgrade(parameters["job_root"]).look(),
        hdk_look.ROLE: hdk["facts"],
        **stack["facts"],
    }
    return {
        "facts": facts,
        "pending": pending,
        "problems": _each_once(problems + stack["problems"]),
        "cautions": _each_once(hdk["cautions"] + stack["cautions"]),
    }


def _fitness(parameters: Dict[str, Any], system: OperatingSystem, own_time: float) -> List[Problem]:
    """Return what makes the host unfit, whatever is to be done there."""
    devices = tuple(bus_devices())
    removes = parameters["wishes"].get(hdk_look.ROLE, {}).get("state") == ABSENT
    found: List[Optional[Problem]] = [
        host_checks.privileges(),
        host_checks.supported_os(system, parameters["supported_os"]),
        host_checks.supported_architecture(platform.machine(), parameters["supported_architectures"]),
        host_checks.python_version(parameters["python_minimum"]),
        # A server goes back to bare for the very chip that is missing.
        None if removes else bus_problem(devices, CHIP_DEVICES[parameters["chip"]], parameters["npu_count"]),
        host_checks.clock(parameters["control_time"], own_time, parameters["clock_skew_seconds"]),
        host_checks.own_name(),
    ]
    if parameters["master_port"]:
        found.append(host_checks.foreign_listener(parameters["master_port"]))
    return [problem for problem in found if problem]


def _each_once(problems: List[Problem]) -> List[Dict[str, str]]:
    """Drop what two parts of the look found alike, such as chips missing on the bus."""
    return [asdict(problem) for problem in dict.fromkeys(problems)]
