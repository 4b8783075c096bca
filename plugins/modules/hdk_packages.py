#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
module: hdk_packages
short_description: Find and check the HDK packages of a release on the control side
description:
  - Finds Huawei's driver and firmware packages for one kind of chip and one HDK release in a folder, as zip or as
    C(.run) files, and compares every one with size and SHA-256 in a lock file.
  - Fetches a package that the folder does not have from the url in the lock file into a cache, going on where an
    earlier attempt ended. It gets its name there when it is what the lock file says.
  - Verifies the vendor's signature when a CA is given.
  - Unpacks the C(.run) files of a zip into the cache, once. The cache is filled in check mode too, since the plan
    follows from what the packages hold.
  - Runs on the control side; delegate it to localhost.
author:
  - The TeleChat2 on Ascend authors
requirements:
  - PyYAML
extends_documentation_fragment: [promises]
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
  idempotent:
    support: full
options:
  package_dir:
    description: Folder with the packages, under Huawei's names.
    type: path
    required: true
  lock_file:
    description: YAML file with the list C(packages) of C(name), C(sha256), C(size) and, if wanted, C(url).
    type: path
    required: true
  cache_dir:
    description: Folder for fetched and unpacked packages; it may be deleted at any time.
    type: path
    required: true
  chip:
    description: Chip family that the packages are for.
    type: str
    choices: ['910', 910b, a3, 310p]
    default: 910b
  release:
    description: HDK release, as V(24.1.rc3). Empty for the only one in the folder.
    type: str
    default: ''
  firmware_version:
    description: Version of the firmware. Empty for the one that belongs to the release.
    type: str
    default: ''
  signature_ca:
    description:
      - File with the vendor's root CA, PEM or DER; PEM may hold revocation lists too. Every package must then have a
        good signature. Empty leaves the decision to the lock file.
    type: path
    default: ''
"""

EXAMPLES = r"""
- name: Find the packages
  hdk_packages:
    package_dir: /srv/hdk
    lock_file: /srv/hdk/hdk.lock.yml
    cache_dir: ~/.cache/telechat-ascend/hdk
    release: 24.1.rc3
  delegate_to: localhost
  run_once: true
"""

RETURN = r"""
packages:
  description:
    - Driver and firmware for each architecture that the folder has a driver for; empty when there are problems.
  returned: always
  type: dict
  sample:
    aarch64:
      driver: {file: driver.run, path: /cache/driver.run, version: 24.1.rc3, sha256: 0a1b}
      firmware: {file: firmware.run, path: /cache/firmware.run, version: 7.5.0.1.129, sha256: 2c3d}
problems:
  description: Why there are no packages to use.
  returned: always
  type: list
  elements: dict
  sample: [{check: hdk_packages, value: found, rule: wanted, next_step: what to do}]
"""

import os
from dataclasses import asdict

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible.module_utils.hdk.facts import CHIP_DEVICES
from ansible.module_utils.hdk.lock import LockError
from ansible.module_utils.hdk.lock_file import read_lock
from ansible.module_utils.hdk.packages_find import PackagesError, Wanted, find_packages


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "package_dir": {"type": "path", "required": True},
            "lock_file": {"type": "path", "required": True},
            "cache_dir": {"type": "path", "required": True},
            "chip": {"type": "str", "choices": list(CHIP_DEVICES), "default": "910b"},
            "release": {"type": "str", "default": ""},
            "firmware_version": {"type": "str", "default": ""},
            "signature_ca": {"type": "path", "default": ""},
        },
        supports_check_mode=True,
    )
    options = module.params
    wanted = Wanted(
        folder=options["package_dir"],
        lock_file=options["lock_file"],
        chip=options["chip"],
        release=options["release"],
        firmware_version=options["firmware_version"],
        cache=options["cache_dir"],
        signature_ca=options["signature_ca"],
    )
    try:
        # Without the folder its lock file is missing too; the folder is what to name.
        lock = read_lock(wanted.lock_file) if os.path.isdir(wanted.folder) else {}
        packages = find_packages(wanted, lock)
    except ImportError:
        module.fail_json(msg=missing_required_lib("PyYAML"))
    except (PackagesError, LockError) as error:
        module.exit_json(changed=False, packages={}, problems=[asdict(problem) for problem in error.problems])
    module.exit_json(changed=False, packages=packages, problems=[])


if __name__ == "__main__":
    main()
