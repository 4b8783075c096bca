#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
module: ascend_hdk_logs
short_description: Bring what tells why driver or firmware fail on an Ascend server
description:
  - Takes the logs of the installers, of DKMS and of the kernel, what is installed, and what lspci and npu-smi answer,
    and puts them into a folder of the control side.
  - Of each file the last MiB, of all together 16 MiB at most. Leaves nothing on the server.
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
  dest:
    description: Folder of the control side; made for root's logs, so for its owner alone.
    type: path
    required: true
"""

EXAMPLES = r"""
- name: Bring the logs
  ascend_hdk_logs:
    dest: "/var/tmp/hdk-logs/{{ inventory_hostname }}"
"""

RETURN = r"""
dest:
  description: The folder of the control side.
  returned: success
  type: str
  sample: /var/tmp/hdk-logs/node0
files:
  description: What is in it.
  returned: success
  type: list
  elements: str
  sample: [commands/dmesg.txt, var/log/ascend_seclog/ascend_install.log]
"""

import base64

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.hdk.logs import archive
from ansible.module_utils.host_command import run_on_host


def main() -> None:
    module = AnsibleModule(
        argument_spec={"dest": {"type": "path", "required": True}},
        supports_check_mode=True,
    )
    content, files = archive(run_on_host)
    module.exit_json(changed=False, files=files, content=base64.b64encode(content).decode("ascii"))


if __name__ == "__main__":
    main()
