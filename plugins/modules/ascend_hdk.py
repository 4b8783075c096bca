#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
module: ascend_hdk
short_description: Bring driver and firmware of an Ascend server to a release, or remove them, up to the next reboot
description:
  - Looks at the server, plans the steps to the wish, and lets the server take them until it has to reboot.
  - The server takes them in a process of its own, which goes on when the control side dies or the link is lost. The
    next call finds it, waits for it and takes its outcome.
  - Call it again after the reboot, until RV(reboot_required) is false. Whatever interrupts it, the next call goes on
    from the server's state.
  - With nothing left to do it fails unless all chips are there, healthy, and run the wanted versions.
author:
  - The TeleChat2 on Ascend authors
extends_documentation_fragment: [promises]
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
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
  follow:
    description:
      - Whether to stay until the steps are done, showing their progress. Else it starts them and returns at once, so
        that all servers work while the control side follows some of them.
    type: bool
    default: true
  run:
    description: RV(run) of an earlier call, whose outcome is wanted.
    type: str
    default: ''
  told:
    description: Progress that the caller knows already; a call that waits comes back with something else.
    type: list
    elements: str
    default: []
  wait:
    description: Seconds that a call waits for progress at most.
    type: int
    default: 0
  patience:
    description: Seconds for which the control side asks again when a server gives no answer while its steps go on.
    type: int
    default: 0
  reboot_seconds:
    description: How long the reboot before this call took, to be recorded; V(0) for none.
    type: float
    default: 0
"""

EXAMPLES = r"""
- name: Take the next steps
  ascend_hdk:
    wish: "{{ _ascend_hdk_wish }}"
    staging_dir: /var/lib/ascend-hdk/packages
  register: step
"""

RETURN = r"""
run:
  description: Id of the run of steps that goes on; empty when none does.
  returned: success
  type: str
  sample: 5d1c0f9a77be
progress:
  description: One line a step that this run has done or is at.
  returned: always
  type: list
  elements: str
  sample: ['upgrade firmware 7.5.0.1.129: done after 52 s', 'upgrade driver 24.1.rc3: 40 %']
done:
  description: Steps taken by this run.
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
boot_id:
  description: The boot that the answer is about, as the kernel names it.
  returned: when no run goes on
  type: str
  sample: 7c1f5c3e-4c6f-4f0a-8f57-0f1b5a0f3c1d
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
import time
from dataclasses import asdict
from typing import Any, Dict, List, NoReturn, Optional

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.hdk import answer as hdk_answer
from ansible.module_utils.hdk import look as hdk_look
from ansible.module_utils.hdk.converge import converge, work_left
from ansible.module_utils.hdk.look import HdkLook
from ansible.module_utils.hdk.record import HdkRecord
from ansible.module_utils.hdk.run import HdkRun, progress_lines
from ansible.module_utils.hdk.steps import LOG_FOLDER, Host, StepError, settings_of
from ansible.module_utils.host_command import run_on_host
from ansible.module_utils.os_packages import operating_system

_POLL_SECONDS = 0.5
# Another call holds the claim while it looks, for minutes where a chip does not answer npu-smi.
_CLAIM_SECONDS = 600


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "wish": {"type": "dict", "required": True},
            "staging_dir": {"type": "path", "required": True},
            "timeout": {"type": "int", "default": 1800},
            "follow": {"type": "bool", "default": True},
            "run": {"type": "str", "default": ""},
            "told": {"type": "list", "elements": "str", "default": []},
            "wait": {"type": "int", "default": 0},
            "patience": {"type": "int", "default": 0},
            "reboot_seconds": {"type": "float", "default": 0},
        },
        supports_check_mode=True,
    )
    run = HdkRun()
    if module.check_mode:
        state = run.going_on()
        if state:
            module.exit_json(changed=True, **dict(hdk_answer.going_on(state), run=""))
        seen = look(module)
        stop_at_problems(module, seen, [])
        module.exit_json(**hdk_answer.predicted(seen))
    if module.params["reboot_seconds"]:
        HdkRecord().rebooted(module.params["reboot_seconds"])
    wait_for_progress(run, module.params["told"], module.params["wait"])
    state = ended(module, run) if module.params["run"] and not at_work(run) else None
    claim(module, run)
    seen = look(module)
    # A run that somebody else started for another wish leaves work, too.
    if work_left(seen) and not seen.problems():
        module.exit_json(changed=True, **hdk_answer.going_on(start(module, run, seen)))
    run.release()
    stop_at_problems(module, seen, progress_lines(state) if state else [])
    module.exit_json(boot_id=HdkRecord().boot_id(), **hdk_answer.finished(seen, state))


def claim(module: AnsibleModule, run: HdkRun) -> None:
    """Take the right to start a run; when one goes on, answer with that."""
    until = time.monotonic() + _CLAIM_SECONDS
    while True:
        state = run.going_on()
        if state and not state["ended"]:
            module.exit_json(changed=False, **hdk_answer.going_on(state))
        # One that has just ended, or is just being started, is gone or there within a moment.
        if not state and run.claim():
            return
        if state and time.monotonic() > until:
            reason = f"{state['current']['step']}: still flashing; it must not be cut off: run again, that waits for it"
            fail(module, reason, progress_lines(state))
        if time.monotonic() > until:
            fail(module, f"another run holds {run.folder} and tells nothing; look for its process on the host")
        time.sleep(_POLL_SECONDS)


def at_work(run: HdkRun) -> bool:
    """Return whether a run goes on that has not given up waiting for its installer."""
    state = run.going_on()
    return state is not None and not state["ended"]


def look(module: AnsibleModule) -> HdkLook:
    return hdk_look.look(module.params["wish"], run_on_host, operating_system().family)


def wait_for_progress(run: HdkRun, told: List[str], seconds: int) -> None:
    """Wait while a run goes on and has nothing new to tell."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        state = run.going_on()
        if state is None or state["ended"] or progress_lines(state) != told:
            return
        time.sleep(_POLL_SECONDS)


def ended(module: AnsibleModule, run: HdkRun) -> Dict[str, Any]:
    """Return the state of the run that the caller asked for and that did well.

    Fails the module when it did not do well, or was ended with the power or by a kill.
    """
    state = run.outcome(module.params["run"])
    if not state:
        fail(module, "the server was restarted in the middle of its steps (a power cut?); run the playbook again")
    if not state["ended"]:
        at = state["current"]["step"] if state["current"] else "its last step"
        fail(module, f"{at}: its process was killed on the host; run the playbook again", progress_lines(state))
    if state["failure"]:
        fail(module, state["failure"], progress_lines(dict(state, current=None)))
    return state


def start(module: AnsibleModule, run: HdkRun, seen: HdkLook) -> Dict[str, Any]:
    """Let a process of its own take the steps; return its state."""
    options = module.params
    settings = settings_of(options["wish"], options["staging_dir"], options["timeout"])
    host = Host(settings=settings, record=HdkRecord(), run=run)

    def work() -> Optional[str]:
        # Ansible may have left a umask that would hide the driver's files from everybody but root.
        os.umask(0o022)
        try:
            converge(lambda: look(module), host)
        except StepError as error:
            return str(error)
        return None

    run.start(seen.versions(), work, os.path.join(LOG_FOLDER, "run.log"))
    return run.state()


def stop_at_problems(module: AnsibleModule, seen: HdkLook, progress: List[str]) -> None:
    """Fail with every refusal or, with nothing left to do, with everything that is wrong with the chips."""
    problems = seen.problems()
    if problems:
        lines = [f"{problem.value} ({problem.rule}): {problem.next_step}" for problem in problems]
        module.fail_json(
            msg="; ".join(lines),
            problems=[asdict(problem) for problem in problems],
            progress=progress,
            npu_smi_error=seen.facts.npu_smi_error,
        )


def fail(module: AnsibleModule, reason: str, progress: Optional[List[str]] = None) -> NoReturn:
    """Fail with a step's reason."""
    module.fail_json(msg=reason, problems=[], progress=progress or [], npu_smi_error=None)


if __name__ == "__main__":
    main()
