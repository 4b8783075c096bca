#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
module: hdk_prune_packages
short_description: Remove the HDK packages that a server needs neither now nor to go back
description:
  - Leaves the packages of the versions that are named, and of those that C(/etc/telechat/upgrade.json) notes as what
    ran before the last fleet upgrade. Files that are no HDK packages stay.
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
  keep:
    description: Versions of driver and firmware whose packages stay.
    type: list
    elements: str
    required: true
"""

EXAMPLES = r"""
- name: Keep what runs and what ran before
  hdk_prune_packages:
    staging_dir: /var/lib/ascend-hdk/packages
    keep: [24.1.rc3, 7.5.0.1.129, 23.0.3, 7.1.0.5.220]
"""

RETURN = r"""
removed:
  description: Paths of the packages that were removed.
  returned: always
  type: list
  elements: str
"""

import os

from ansible.module_utils.ascend.schema import UPGRADE_PLAYBOOKS, NewerSchemaError
from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.hdk.packages_kept import packages_of_others
from ansible.module_utils.node_upgrade import noted_versions


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "staging_dir": {"type": "path", "required": True},
            "keep": {"type": "list", "elements": "str", "required": True},
        },
        supports_check_mode=True,
    )
    try:
        noted = noted_versions()
    except NewerSchemaError as error:
        module.fail_json(msg=f"{error}; {UPGRADE_PLAYBOOKS}")
    removed = packages_of_others(module.params["staging_dir"], [*module.params["keep"], *noted])
    if not module.check_mode:
        for path in removed:
            os.unlink(path)
    module.exit_json(changed=bool(removed), removed=removed)


if __name__ == "__main__":
    main()
