#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
module: telechat_verify
short_description: Verify that a node can run TeleChat2's jobs
description:
  - Asks npu-smi for the health and versions of all chips, starts the node runtime, and runs the self-tests of MindSpore
    and MindFormers where the jobs will run, with the environment that people get from the runtime's environment file.
  - Runs every check, then fails naming all that are bad. Keeps a stamp of what was verified.
author:
  - The TeleChat2 on Ascend authors
extends_documentation_fragment: [promises]
attributes:
  check_mode:
    support: partial
    details:
      - Nothing is verified in check mode, since what it needs may not be there yet; it says whether it would be.
  diff_mode:
    description: Returns the parts of the node that changed since it was verified.
    support: full
  idempotent:
    support: full
options:
  cli:
    description: The docker client.
    type: path
    default: /usr/bin/docker
  container_name:
    description: Container to test in; empty tests on the host.
    type: str
    default: telechat
  python:
    description: Interpreter with MindSpore.
    type: str
    default: python3
  device_target:
    description: Platform that MindSpore has to compute on. MindFormers' own test needs V(Ascend).
    type: str
    choices: [Ascend, CPU]
    default: Ascend
  tree:
    description: Folder of the TeleChat2 MindFormers tree; its version goes before that of the wheel.
    type: str
    default: ''
  off_matrix:
    description: What versions off the matrix of HDK, CANN, MindSpore and MindFormers are, which work all the same.
    type: str
    choices: [warn, refuse]
    default: warn
  npu_smi:
    description: Path of npu-smi on the host; empty leaves the chips out.
    type: str
    default: /usr/local/sbin/npu-smi
  npu_count:
    description: How many chips the node must have.
    type: int
    required: true
  runtime_path:
    description: The node runtime; empty leaves it out.
    type: str
    default: /opt/telechat/telechat-run.pyz
  environment_file:
    description: Shell file that sets the environment; empty for none.
    type: str
    default: ''
  timeout:
    description: Seconds that one self-test may take.
    type: int
    default: 900
  wish:
    description: What the stamp stands for, as C(_verify_wish) of the role verify says it.
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Verify the node
  telechat_verify:
    npu_count: 8
    wish: "{{ _verify_wish }}"
"""

RETURN = r"""
checks:
  description: Every check with its outcome.
  returned: when the node was verified
  type: list
  elements: dict
  sample: [{name: chips, ok: true, detail: 8 chips OK}]
"""

import json
import os
import time
import typing as t

from ansible.module_utils import run_check, stack_fingerprint
from ansible.module_utils.ascend import npu_smi
from ansible.module_utils.ascend.atomic_file import replace_file
from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.command_result import Result
from ansible.module_utils.docker_objects import inspect
from ansible.module_utils.host_command import run_on_host

RC_TIMEOUT = 124
IN_ENVIRONMENT = 'cd /tmp && if [ -n "$1" ]; then . "$1" || exit 1; fi && shift && exec "$@"'


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "cli": {"type": "path", "default": "/usr/bin/docker"},
            "container_name": {"type": "str", "default": "telechat"},
            "python": {"type": "str", "default": "python3"},
            "device_target": {"type": "str", "choices": ["Ascend", "CPU"], "default": "Ascend"},
            "tree": {"type": "str", "default": ""},
            "off_matrix": {"type": "str", "choices": [run_check.WARN, run_check.REFUSE], "default": run_check.WARN},
            "npu_smi": {"type": "str", "default": "/usr/local/sbin/npu-smi"},
            "npu_count": {"type": "int", "required": True},
            "runtime_path": {"type": "str", "default": "/opt/telechat/telechat-run.pyz"},
            "environment_file": {"type": "str", "default": ""},
            "timeout": {"type": "int", "default": 900},
            "wish": {"type": "dict", "required": True},
        },
        supports_check_mode=True,
    )
    # sudo and hardened servers give 077, which would hide what every user of the node reads.
    os.umask(0o022)
    stamp = module.params["wish"]["stamp"]
    current, stale = judge_stamp(module)
    if module.check_mode:
        module.exit_json(changed=stale is not None, diff=diff(stale))
    checks = chip_checks(module) + job_checks(module)
    outcome = [{"name": check.name, "ok": check.ok, "detail": check.detail} for check in checks]
    bad = [f"{check.name}: {check.detail}" for check in checks if not check.ok]
    if bad:
        if os.path.exists(stamp):
            os.unlink(stamp)
        module.fail_json(msg="the node is not ready: " + "; ".join(bad), checks=outcome)
    for check in checks:
        if check.caution:
            module.warn(f"{check.name}: {check.detail}")
    if stale is not None:
        write_stamp(stamp, {"fingerprint": current, "checks": outcome, "verified": int(time.time())})
    module.exit_json(changed=stale is not None, checks=outcome, diff=diff(stale))


def judge_stamp(module: AnsibleModule) -> t.Tuple[t.Dict[str, t.Any], t.Optional[str]]:
    """Return what the node is now, and why its stamp is not true for it (None when it is)."""
    wish, name = module.params["wish"], module.params["container_name"]
    inspected = inspect(run_on_host, module.params["cli"] if name else "", name, "")
    current = stack_fingerprint.fingerprint(wish, inspected)
    return current, stack_fingerprint.changed_parts(wish["stamp"], current)


def chip_checks(module: AnsibleModule) -> t.List[run_check.Check]:
    path, hdk_path = module.params["npu_smi"], module.params["wish"]["hdk_path"]
    if not path:
        return []
    answer = run_on_host([path, "info"])
    chips = npu_smi.parse_info(answer.stdout)
    if not chips:
        error = npu_smi.parse_error(answer.stdout + answer.stderr)
        detail = error.text if error else "npu-smi info shows no chips (exit code {})".format(answer.rc)
        return [run_check.Check("chips", False, detail)]
    boards = [
        npu_smi.parse_board(run_on_host([path, "info", "-t", "board", "-i", str(npu_id)]).stdout)
        for npu_id in sorted({chip.npu_id for chip in chips})
    ]
    installed = [stack_fingerprint.version(hdk_path, part) for part in ("driver", "firmware")]
    return [
        run_check.judge_chips(chips, module.params["npu_count"]),
        run_check.judge_versions(boards, installed[0], installed[1]),
    ]


def job_checks(module: AnsibleModule) -> t.List[run_check.Check]:
    params, checks = module.params, []
    if params["runtime_path"]:
        program = [params["python"], params["runtime_path"], "node", "versions"]
        answer = in_job_environment(module, program, json.dumps(question(params)) + "\n")
        checks.append(run_check.judge_runtime(answer, params["runtime_path"]))
        if checks[-1].ok:
            checks.append(run_check.judge_matrix(answer, params["off_matrix"]))
    program = [params["python"], "-c", "import mindspore; mindspore.run_check()"]
    checks.append(run_check.judge_mindspore(in_job_environment(module, program), params["device_target"]))
    if params["device_target"] == "Ascend":
        program = [params["python"], "-c", "import mindformers; mindformers.run_check()"]
        checks.append(run_check.judge_mindformers(in_job_environment(module, program)))
    return checks


def question(params: t.Dict[str, t.Any]) -> t.Dict[str, t.Any]:
    """Return what ``node versions`` reads: the firmware's version.info is not mounted into the container."""
    folder = params["wish"]["hdk_path"]
    return {
        "device_target": params["device_target"],
        "hdk_folder": folder,
        "firmware_info": stack_fingerprint.version_info(folder, "firmware"),
        "tree": params["tree"] or None,
    }


def in_job_environment(module: AnsibleModule, argv: t.List[str], stdin: str = "") -> Result:
    params = module.params
    execute = [params["cli"], "exec", *(["-i"] if stdin else [])]
    prefix = [*execute, params["container_name"]] if params["container_name"] else []
    limited = ["timeout", "--kill-after=10", str(params["timeout"])]
    command = [*prefix, *limited, "bash", "-c", IN_ENVIRONMENT, "bash", params["environment_file"], *argv]
    # a self-test takes longer than run_on_host waits; its own limit is in the command
    result = Result(*module.run_command(command, data=stdin or None))
    if result.rc == RC_TIMEOUT:
        return Result(result.rc, result.stdout, f"{result.stderr}\nended after {params['timeout']} s")
    return result


def write_stamp(path: str, content: t.Dict[str, t.Any]) -> None:
    os.makedirs(os.path.dirname(path), mode=0o755, exist_ok=True)
    replace_file(path, json.dumps(content, indent=2, sort_keys=True) + "\n")


def diff(stale: t.Optional[str]) -> t.Dict[str, str]:
    return {"before": f"{stale}\n" if stale else "", "after": "verified\n" if stale else ""}


if __name__ == "__main__":
    main()
