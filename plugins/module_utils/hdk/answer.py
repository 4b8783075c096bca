# SPDX-License-Identifier: Apache-2.0
"""What the module ascend_hdk answers: while steps are taken, after them, and in check mode."""

from __future__ import annotations

from typing import Any, Dict, Optional

from ansible.module_utils.hdk.look import HdkLook
from ansible.module_utils.hdk.run import progress_lines
from ansible.module_utils.hdk.state import ABSENT, DRIVER, FIRMWARE, REBOOT


def going_on(state: Dict[str, Any]) -> Dict[str, Any]:
    """Return the answer while a run takes steps; `state` is the run's."""
    return {
        "run": state["id"],
        "progress": progress_lines(state),
        "done": [done["step"] for done in state["done"]],
        "plan": [state["current"]["step"]] if state["current"] else [],
        "reboot_required": False,
        "npu_smi_error": None,
    }


def finished(seen: HdkLook, state: Optional[Dict[str, Any]]) -> Dict[str, Any]:
    """Return the answer after a run's steps; `state` is None when there were none to take."""
    after = seen.versions()
    steps = seen.plan.steps
    return {
        "changed": bool(state and state["done"]),
        "run": "",
        "progress": progress_lines(state) if state else [],
        "done": [done["step"] for done in state["done"]] if state else [],
        "plan": [str(step) for step in steps],
        "reboot_required": bool(steps) and steps[0].action == REBOOT,
        "versions": after,
        "npu_smi_error": seen.facts.npu_smi_error,
        "diff": {"before": state["before"] if state else after, "after": after},
    }


def predicted(seen: HdkLook) -> Dict[str, Any]:
    """Return the answer of check mode: the plan."""
    steps = [str(step) for step in seen.plan.steps]
    versions = seen.versions()
    return {
        "changed": bool(steps),
        "run": "",
        "progress": [],
        "done": [],
        "plan": steps,
        "reboot_required": False,
        "versions": versions,
        "npu_smi_error": seen.facts.npu_smi_error,
        "diff": {"before": versions, "after": _wanted_versions(seen) if steps else versions},
    }


def _wanted_versions(seen: HdkLook) -> Dict[str, Any]:
    wanted = {DRIVER: seen.wish.driver_version, FIRMWARE: seen.wish.firmware_version}
    if seen.wish.state == ABSENT:
        return {component: {"installed": None, "running": []} for component in wanted}
    return {component: {"installed": version, "running": [version]} for component, version in wanted.items()}
