#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
module: hdk_kept_packages
short_description: Find the HDK packages that a server kept of what it ran before its last fleet upgrade
description:
  - Reads from C(/etc/telechat/upgrade.json) which driver and firmware ran before, and finds their packages in the
    folder that C(ascend_hdk) left them in.
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
  staging_dir:
    description: Folder of the server with the packages.
    type: path
    required: true
  chip:
    description: Chip family that the packages are for.
    type: str
    choices: ['910', 910b, a3, 310p]
    default: 910b
"""

EXAMPLES = r"""
- name: Find the packages that ran before
  hdk_kept_packages:
    staging_dir: /var/lib/ascend-hdk/packages
  register: kept
"""

RETURN = r"""
packages:
  description: Driver and firmware for the server's architecture; empty when there are problems.
  returned: always
  type: dict
  sample:
    aarch64:
      driver: {file: driver.run, path: '', version: 23.0.3, sha256: 0a1b}
      firmware: {file: firmware.run, path: '', version: 7.1.0.5.220, sha256: 2c3d}
problems:
  description: Why there are no packages to use.
  returned: always
  type: list
  elements: dict
  sample: [{check: kept_packages, value: found, rule: wanted, next_step: what to do}]
"""

import platform
from dataclasses import asdict

from ansible.module_utils.ascend.schema import UPGRADE_PLAYBOOKS, NewerSchemaError
from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.hdk.facts import CHIP_DEVICES
from ansible.module_utils.hdk.packages_find import PackagesError
from ansible.module_utils.hdk.packages_kept import kept_packages
from ansible.module_utils.host_problem import Problem
from ansible.module_utils.node_upgrade import versions_before


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "staging_dir": {"type": "path", "required": True},
            "chip": {"type": "str", "choices": list(CHIP_DEVICES), "default": "910b"},
        },
        supports_check_mode=True,
    )
    try:
        packages = kept_packages(
            module.params["staging_dir"],
            versions_before(),
            chip=module.params["chip"],
            architecture=platform.machine(),
        )
    except NewerSchemaError as error:
        problem = Problem("upgrade_record", str(error), "a release that knows its schema", UPGRADE_PLAYBOOKS)
        module.exit_json(changed=False, packages={}, problems=[asdict(problem)])
    except PackagesError as error:
        module.exit_json(changed=False, packages={}, problems=[asdict(problem) for problem in error.problems])
    module.exit_json(changed=False, packages=packages, problems=[])


if __name__ == "__main__":
    main()
