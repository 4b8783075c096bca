#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
module: hdk_packages
short_description: Find and check the HDK packages of a release on the control side
description:
  - Finds Huawei's driver and firmware packages for one kind of chip and one HDK release in a folder, as zip or as
    C(.run) files, and compares every one with the SHA-256 in a lock file.
  - Unpacks the C(.run) files of a zip into a cache, once.
  - Runs on the control side; delegate it to localhost.
author:
  - The TeleChat2 on Ascend authors
requirements:
  - PyYAML
attributes:
  check_mode:
    description: Can run in check_mode and return changed status prediction without modifying the target.
    support: full
  diff_mode:
    description: Will return details on what has changed (or possibly needs changing in check_mode) when in diff mode.
    support: none
  idempotent:
    description: When run twice in a row outside check mode, the second run reports changed=false.
    support: full
options:
  package_dir:
    description: Folder with the packages, under Huawei's names.
    type: path
    required: true
  lock_file:
    description: YAML file with the list C(packages) of C(file) and C(sha256).
    type: path
    required: true
  cache_dir:
    description: Folder for unpacked packages; it may be deleted at any time.
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
"""

EXAMPLES = r"""
- name: Find the packages
  hdk_packages:
    package_dir: /srv/hdk
    lock_file: /srv/hdk/packages.lock.yml
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
from typing import Dict

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible.module_utils.hdk_facts import CHIP_DEVICES
from ansible.module_utils.hdk_packages_find import CHECK, PackagesError, Wanted, find_packages
from ansible.module_utils.host_problem import Problem

LOCK_RULE = "a YAML file: packages, a list of file and sha256"


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "package_dir": {"type": "path", "required": True},
            "lock_file": {"type": "path", "required": True},
            "cache_dir": {"type": "path", "required": True},
            "chip": {"type": "str", "choices": list(CHIP_DEVICES), "default": "910b"},
            "release": {"type": "str", "default": ""},
            "firmware_version": {"type": "str", "default": ""},
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
    )
    try:
        # Without the folder its lock file is missing too; the folder is what to name.
        lock = read_lock(module, wanted.lock_file) if os.path.isdir(wanted.folder) else {}
        packages = find_packages(wanted, lock)
    except PackagesError as error:
        module.exit_json(changed=False, packages={}, problems=[asdict(problem) for problem in error.problems])
    module.exit_json(changed=False, packages=packages, problems=[])


def read_lock(module: AnsibleModule, path: str) -> Dict[str, str]:
    """Return file → sha256 of the lock file. Raises PackagesError."""
    try:
        import yaml  # noqa: PLC0415 - a module says itself what it misses
    except ImportError:
        module.fail_json(msg=missing_required_lib("PyYAML"))
    try:
        with open(path, encoding="utf-8") as stream:
            entries = yaml.safe_load(stream)["packages"]
        return {str(entry["file"]): str(entry["sha256"]) for entry in entries}
    except OSError as error:
        raise lock_error(f"{path}: {error.strerror}") from error
    except (yaml.YAMLError, KeyError, TypeError, ValueError) as error:
        raise lock_error(f"{path} can't be read: {type(error).__name__}") from error


def lock_error(value: str) -> PackagesError:
    step = "write it with the checksums that Huawei publishes, or set ascend_hdk_lock_file"
    return PackagesError([Problem(check=CHECK, value=value, rule=LOCK_RULE, next_step=step)])


if __name__ == "__main__":
    main()
