#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
module: resumable_copy
short_description: Copy a large file from the control side, going on after an interruption
description:
  - Sends a file in slices over the connection of the host. Slices that an earlier run sent whole, told by their
    SHA-256, are not sent again.
  - The file gets its name when its SHA-256 is the expected one, so nothing half is ever found under it.
  - The slices wait in C(resumable_copy) below Ansible's C(remote_tmp) of the user who logs in.
  - The control side's part is the action plugin of the same name; it takes O(src) and O(slice_bytes), and gives the
    module O(size) and O(slices).
author:
  - The TeleChat2 on Ascend authors
extends_documentation_fragment: [promises]
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: full
options:
  src:
    description: The file, on the control side.
    type: path
    required: true
  dest:
    description: Its path on the host; the folder must be there.
    type: path
    required: true
  sha256:
    description: What the file must be, on both sides.
    type: str
    required: true
  mode:
    description: Its mode, octal.
    type: str
    default: '0644'
  slice_bytes:
    description: Size of a slice, at least 65536. What is lost by an interruption is less than one of them.
    type: int
    default: 8388608
  size:
    description: Size in bytes; given by the action plugin.
    type: int
  slices:
    description: Paths of the slices on the host, in their order; given by the action plugin when all are there.
    type: list
    elements: path
"""

EXAMPLES = r"""
- name: Copy the driver
  resumable_copy:
    src: /srv/hdk/driver.run
    dest: /var/lib/ascend-hdk/packages/driver.run
    sha256: 0a1b…
    mode: "0700"
"""

RETURN = r"""
sent_bytes:
  description: Bytes that this run sent.
  returned: when the file had to be copied
  type: int
  sample: 8388608
kept_bytes:
  description: Bytes that an earlier run had sent.
  returned: when the file had to be copied
  type: int
  sample: 109051904
"""

import os
import stat
from typing import Any, Dict

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.download import FetchError
from ansible.module_utils.file_slices import AssemblyError, Target, assemble, check_space, found_sha256


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "src": {"type": "path", "required": True},
            "dest": {"type": "path", "required": True},
            "sha256": {"type": "str", "required": True},
            "mode": {"type": "str", "default": "0644"},
            "slice_bytes": {"type": "int", "default": 8388608},
            "size": {"type": "int"},
            "slices": {"type": "list", "elements": "path"},
        },
        supports_check_mode=True,
    )
    options = module.params
    if options["size"] is None:
        module.fail_json(
            msg="resumable_copy works through its action plugin: action_plugins in ansible.cfg is plugins/action"
        )
    target = Target(options["dest"], options["sha256"], options["size"], int(options["mode"], 8))
    try:
        if options["slices"] is None:
            module.exit_json(**look(module, target))
        assemble(options["slices"], target)
    except (AssemblyError, FetchError) as error:
        module.fail_json(msg=str(error))
    except OSError as error:
        module.fail_json(msg=f"{error.filename or target.path}: {error.strerror}")
    module.exit_json(changed=True)


def look(module: AnsibleModule, target: Target) -> Dict[str, Any]:
    """Say whether the file is missing; one that is there gets its mode."""
    found = found_sha256(target)
    missing = found != target.sha256
    mode_differs = not missing and stat.S_IMODE(os.stat(target.path).st_mode) != target.mode
    if missing and os.path.isdir(os.path.dirname(target.path)):
        check_space(target)
    elif missing and not module.check_mode:
        raise AssemblyError(f"{os.path.dirname(target.path)} is no folder: make it before")
    if mode_differs and not module.check_mode:
        os.chmod(target.path, target.mode)
    header = {"before_header": target.path, "after_header": target.path}
    before = f"sha256: {found}\n" if found else ""
    return {
        "changed": missing or mode_differs,
        "missing": missing,
        "diff": dict(header, before=before, after=f"sha256: {target.sha256}\n"),
    }


if __name__ == "__main__":
    main()
