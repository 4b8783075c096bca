#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
module: ascend_capture
short_description: Capture an Ascend server as parsers and planners see it
description:
  - Reads files and asks programs of the server, as the look at it does and some more, and returns what they said as one
    document without names, addresses, serial numbers and passwords. Changes nothing.
  - A capture tells what differs on a site, and is replayed in tests.
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
  os_packages:
    description: Packages that the HDK needs, by family, as V(ascend_hdk_os_packages).
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Capture the server
  ascend_capture:
    os_packages: "{{ ascend_hdk_os_packages }}"
"""

RETURN = r"""
capture:
  description:
    - The document. C(files) are texts by path, C(listed) says what other paths are, C(commands) what programs answered
      and how long they took.
  returned: success
  type: dict
"""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.capture.collect import capture
from ansible.module_utils.host_command import run_on_host


def main() -> None:
    module = AnsibleModule(
        argument_spec={"os_packages": {"type": "dict", "required": True}},
        supports_check_mode=True,
    )
    module.exit_json(changed=False, capture=capture(run_on_host, module.params["os_packages"]))


if __name__ == "__main__":
    main()
