#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
module: ascend_kernel_module
short_description: Build the Ascend driver's kernel modules for the kernel that boots next
description:
  - Finds the kernel that the boot loader starts next. When the installed driver has no module for it, DKMS builds and
    installs one.
  - Does nothing where no driver is installed. It fails where DKMS does not know the driver, as then only the driver's
    installer makes modules, for the kernel that runs.
  - In check mode it tells what is missing, also the packages that a build needs first.
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
    description: OS packages that a build needs, by family; C({kernel}) stands for the kernel's release.
    type: dict
    default: {}
  timeout:
    description: Seconds that the build may take.
    type: int
    default: 1800
"""

EXAMPLES = r"""
- name: Build the modules before the next boot needs them
  ascend_kernel_module:
    os_packages:
      Debian: [dkms, gcc, make, "linux-headers-{kernel}"]
"""

RETURN = r"""
kernel:
  description: Release of the kernel that boots next; of the running one where that can't be told.
  returned: success
  type: str
  sample: 5.10.0-216.0.0.115.oe2203sp4.aarch64
pending:
  description: Whether a module is to be built, or was.
  returned: success
  type: bool
missing_packages:
  description: Packages that a build needs first.
  returned: success
  type: list
  elements: str
family:
  description: Whose package manager the server has, V(Debian) or V(RedHat); null when it has neither's.
  returned: success
  type: str
module:
  description: Path of the module for that kernel; null when there is none.
  returned: success
  type: str
"""

import os
from typing import Any, Dict

from ansible.module_utils.ascend.kernels import module_file
from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.host_command import run_on_host
from ansible.module_utils.kernel_drift import drift_caution, look_at_next_kernel
from ansible.module_utils.kernel_module import BuildError, build
from ansible.module_utils.os_packages import KERNEL, for_kernel, missing_packages, operating_system

VERSION_INFO = "/usr/local/Ascend/driver/version.info"


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "os_packages": {"type": "dict", "default": {}},
            "timeout": {"type": "int", "default": 1800},
        },
        supports_check_mode=True,
    )
    # sudo and hardened servers give 077, which would hide what every user of the node reads.
    os.umask(0o022)
    family = operating_system().family
    kernel = look_at_next_kernel(run_on_host, family)
    answer: Dict[str, Any] = {
        "kernel": kernel.release,
        "family": family,
        "missing_packages": [],
        "module": module_file(kernel.release),
        "pending": False,
    }
    if kernel.module or not (kernel.dkms_version or module_file(kernel.running) or os.path.isfile(VERSION_INFO)):
        module.exit_json(changed=False, **answer)
    if kernel.dkms_version is None:
        caution = drift_caution(kernel)
        module.fail_json(msg=f"{caution.value}; {caution.next_step}", **answer)
    answer["pending"] = True
    if module.check_mode:
        names = module.params["os_packages"].get(family, [])
        # Headers that are there under another package's name, or by hand, are as good.
        needed = [name for name in names if not (kernel.headers and KERNEL in name)]
        answer["missing_packages"] = missing_packages(run_on_host, family, for_kernel(needed, kernel.release))
        module.exit_json(changed=True, **answer)
    timeout = module.params["timeout"]
    try:
        answer["module"] = build(lambda argv: run_on_host(argv, timeout), kernel.dkms_version, kernel.release)
    except BuildError as error:
        module.fail_json(msg=str(error), **answer)
    module.exit_json(changed=True, **answer)


if __name__ == "__main__":
    main()
