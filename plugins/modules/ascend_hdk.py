#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
module: ascend_hdk
short_description: Bring driver and firmware of an Ascend server to a release, up to the next reboot
description:
  - Looks at the server, plans the steps to the wanted versions, and takes them until the server has to reboot.
  - Call it again after the reboot, until RV(reboot_required) is false. Whatever interrupts it, the next call goes on
    from the server's state.
  - With nothing left to do it fails unless all chips are there, healthy, and run the wanted versions.
author:
  - The TeleChat2 on Ascend authors
attributes:
  check_mode:
    description: Can run in check_mode and return changed status prediction without modifying the target.
    support: full
  diff_mode:
    description: Will return details on what has changed (or possibly needs changing in check_mode) when in diff mode.
    support: full
  idempotent:
    description: When run twice in a row outside check mode, the second run reports changed=false.
    support: partial
    details:
      - Until the reboot it asks for, every call reports it again.
options:
  wish:
    description:
      - What is wanted, as C(_ascend_hdk_wish) of the role ascend_hdk says it; the same that M(ascend_info) was given.
    type: dict
    required: true
  staging_dir:
    description: Folder on the server that has the packages the plan takes.
    type: path
    required: true
  timeout:
    description: Seconds that one installer may take.
    type: int
    default: 1800
"""

EXAMPLES = r"""
- name: Take the next steps
  ascend_hdk:
    wish: "{{ _ascend_hdk_wish }}"
    staging_dir: /var/lib/ascend-hdk/packages
  register: step
"""

RETURN = r"""
done:
  description: Steps taken by this call.
  returned: success
  type: list
  elements: str
  sample: ['install driver 24.1.rc3: no driver is installed']
plan:
  description: Steps that are left.
  returned: success
  type: list
  elements: str
  sample: ['reboot: driver 24.1.rc3 was installed in this boot']
reboot_required:
  description: Whether the next step is a reboot.
  returned: success
  type: bool
  sample: true
problems:
  description: Why the server is not as wanted.
  returned: failure
  type: list
  elements: dict
  sample: [{check: chip_health, value: NPU 3 chip 0 is Alarm, rule: every chip's health is OK, next_step: reboot}]
npu_smi_error:
  description: Why npu-smi answers for no chip; null when it does.
  returned: always
  type: str
  sample: npu-smi is not installed
versions:
  description: Versions installed and running, of driver and firmware.
  returned: success
  type: dict
  sample:
    driver: {installed: 24.1.rc3, running: [24.1.rc3]}
    firmware: {installed: 7.5.0.1.129, running: [7.5.0.1.129]}
"""

import os
import platform
from dataclasses import asdict
from typing import Any, Dict

from ansible.module_utils import hdk_look
from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.hdk_converge import Package, Progress, Settings, StepError, converge
from ansible.module_utils.hdk_look import HdkLook
from ansible.module_utils.hdk_record import HdkRecord
from ansible.module_utils.host_command import run_on_host
from ansible.module_utils.os_packages import operating_system


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "wish": {"type": "dict", "required": True},
            "staging_dir": {"type": "path", "required": True},
            "timeout": {"type": "int", "default": 1800},
        },
        supports_check_mode=True,
    )
    wish = module.params["wish"]
    family = operating_system().family

    def look() -> HdkLook:
        return hdk_look.look(wish, run_on_host, family)

    before = look()
    if module.check_mode:
        stop_at_problems(module, before)
        steps = [str(step) for step in before.plan.steps]
        module.exit_json(
            changed=bool(steps),
            done=[],
            plan=steps,
            reboot_required=False,
            versions=before.versions(),
            npu_smi_error=before.facts.npu_smi_error,
            diff={"before": before.versions(), "after": wanted_versions(before) if steps else before.versions()},
        )
    # Ansible may have left a umask that would hide the driver's files from everybody but root.
    os.umask(0o022)
    try:
        progress = converge(look, settings(module.params), HdkRecord())
    except StepError as error:
        module.fail_json(msg=str(error), problems=[], npu_smi_error=before.facts.npu_smi_error)
    stop_at_problems(module, progress.seen)
    module.exit_json(**result(before, progress))


def result(before: HdkLook, progress: Progress) -> Dict[str, Any]:
    """Return what the module answers after its steps."""
    after = progress.seen.versions()
    return {
        "changed": bool(progress.done),
        "done": [str(step) for step in progress.done],
        "plan": [str(step) for step in progress.seen.plan.steps],
        "reboot_required": progress.reboot is not None,
        "versions": after,
        "npu_smi_error": progress.seen.facts.npu_smi_error,
        "diff": {"before": before.versions(), "after": after},
    }


def stop_at_problems(module: AnsibleModule, seen: HdkLook) -> None:
    """Fail with every refusal or, with nothing left to do, with everything that is wrong with the chips."""
    problems = seen.problems()
    if problems:
        lines = [f"{problem.value} ({problem.rule}): {problem.next_step}" for problem in problems]
        module.fail_json(
            msg="; ".join(lines),
            problems=[asdict(problem) for problem in problems],
            npu_smi_error=seen.facts.npu_smi_error,
        )


def wanted_versions(seen: HdkLook) -> Dict[str, Any]:
    """Return what `versions` will be when the plan has been carried out."""
    return {
        component: {"installed": version, "running": [version]}
        for component, version in (("driver", seen.wish.driver_version), ("firmware", seen.wish.firmware_version))
    }


def settings(options: Dict[str, Any]) -> Settings:
    wish = options["wish"]
    packages = wish["packages"].get(platform.machine(), {})
    return Settings(
        packages={
            component: Package(os.path.join(options["staging_dir"], entry["file"]), entry["sha256"])
            for component, entry in packages.items()
        },
        user=wish["user"],
        group=wish["group"],
        reboot=wish["reboot"],
        timeout=options["timeout"],
    )


if __name__ == "__main__":
    main()
