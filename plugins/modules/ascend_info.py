#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
module: ascend_info
short_description: Look at an Ascend server once, for all roles
description:
  - Compares the server with what the roles wish and says what is pending, role by role, and what forbids going on.
  - Changes nothing.
author:
  - The TeleChat2 on Ascend authors
extends_documentation_fragment: [promises]
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
  idempotent:
    support: full
options:
  wishes:
    description: What each role wants, by the role's name; roles without a wish are not looked at.
    type: dict
    required: true
  npu_count:
    description: Number of chips the server has.
    type: int
    required: true
  chip:
    description: Chip family on the PCI bus.
    type: str
    choices: ['910', 910b, a3, 310p]
    default: 910b
  supported_os:
    description: Operating systems by C(ID) and C(VERSION_ID) of C(/etc/os-release), as V(ubuntu 22.04).
    type: list
    elements: str
    required: true
  supported_architectures:
    description: Architectures, as C(uname -m) names them.
    type: list
    elements: str
    required: true
  python_minimum:
    description: Oldest Python on the server.
    type: str
    default: '3.8'
  disk_space:
    description: Free space that a role needs while it is pending.
    type: list
    elements: dict
    default: []
    suboptions:
      role:
        description: The role.
        type: str
        required: true
      path:
        description: Folder that it fills; it may not exist yet.
        type: path
        required: true
      free_mib:
        description: Free space in MiB.
        type: int
        required: true
  control_time:
    description: The control side's clock, in seconds since the epoch.
    type: float
    required: true
  clock_skew_seconds:
    description: How much the clocks may differ.
    type: float
    default: 60
  master_port:
    description: TCP port that has to be free; V(0) for none.
    type: int
    default: 0
  job_root:
    description: Folder of the server's jobs.
    type: path
    default: /var/lib/telechat
"""

EXAMPLES = r"""
- name: Look at the server
  ascend_info:
    wishes: {}
    npu_count: 8
    supported_os: [ubuntu 22.04, openeuler 22.03]
    supported_architectures: [aarch64, x86_64]
    control_time: "{{ now().timestamp() }}"
"""

RETURN = r"""
facts:
  description:
    - What was found; C(os), C(architecture), C(kernel), C(python), and one entry a role.
    - C(node) has the C(job) that runs there, why the node is out of C(service), and how far it is in a fleet
      C(upgrade); null for what there is nothing to say of.
  returned: always
  type: dict
pending:
  description: Roles with something to do, and what.
  returned: always
  type: dict
  sample: {ascend_hdk: 'install driver 24.1.rc3: no driver is installed'}
problems:
  description: What forbids going on.
  returned: always
  type: list
  elements: dict
  sample: [{check: clock, value: 90 s ahead of the control side, rule: at most 60 s, next_step: let chrony set the
  clock}]
cautions:
  description: What an operator ought to know, and forbids nothing.
  returned: always
  type: list
  elements: dict
"""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.hdk.facts import CHIP_DEVICES
from ansible.module_utils.host_command import run_on_host
from ansible.module_utils.host_look import look_at_host


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "wishes": {"type": "dict", "required": True},
            "npu_count": {"type": "int", "required": True},
            "chip": {"type": "str", "choices": list(CHIP_DEVICES), "default": "910b"},
            "supported_os": {"type": "list", "elements": "str", "required": True},
            "supported_architectures": {"type": "list", "elements": "str", "required": True},
            "python_minimum": {"type": "str", "default": "3.8"},
            "disk_space": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": {
                    "role": {"type": "str", "required": True},
                    "path": {"type": "path", "required": True},
                    "free_mib": {"type": "int", "required": True},
                },
            },
            "control_time": {"type": "float", "required": True},
            "clock_skew_seconds": {"type": "float", "default": 60},
            "master_port": {"type": "int", "default": 0},
            "job_root": {"type": "path", "default": "/var/lib/telechat"},
        },
        supports_check_mode=True,
    )
    module.exit_json(changed=False, **look_at_host(module.params, run_on_host))


if __name__ == "__main__":
    main()
