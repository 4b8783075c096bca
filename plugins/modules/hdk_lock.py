#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
module: hdk_lock
short_description: Make the lock file of the HDK packages in a folder
description:
  - Writes name, SHA-256 and size of every HDK package in a folder into the lock file. Known urls are kept, and so are
    entries whose package is not in the folder.
  - An entry whose package has changed is never replaced unless that is asked for. That is what the lock file is for.
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
    support: full
  idempotent:
    support: full
options:
  package_dir:
    description: Folder with the packages, under Huawei's names.
    type: path
    required: true
  lock_file:
    description: The file to make or to bring up to date.
    type: path
    required: true
  expected:
    description: Checksums that the packages must have, file name to SHA-256, from Huawei's page.
    type: dict
    default: {}
  url_base:
    description: Address of a folder with the packages; packages without a url get it with their name. Empty for none.
    type: str
    default: ''
  replace:
    description: Whether an entry whose package has changed, or a file that can't be read, is replaced.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Lock the packages
  hdk_lock:
    package_dir: /srv/hdk
    lock_file: /srv/hdk/hdk.lock.yml
    expected:
      Ascend-hdk-910b-npu_24.1.rc3_linux-aarch64.zip: 0f34…
  delegate_to: localhost
  run_once: true
"""

RETURN = r"""
packages:
  description: The entries of the lock file.
  returned: success
  type: list
  elements: dict
  sample: [{name: Ascend-hdk-910b-npu_24.1.rc3_linux-aarch64.zip, sha256: 0f34…, size: 119537664, url: ''}]
"""

import os
import re
from dataclasses import asdict
from typing import Any, Dict, List, Tuple

from ansible.module_utils.ascend.atomic_file import replace_file
from ansible.module_utils.ascend.package_url import public, url_fault
from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible.module_utils.file_digest import file_sha256
from ansible.module_utils.hdk.lock import CHECK, LockEntry, LockError, render_lock, renew_lock
from ansible.module_utils.hdk.lock_file import read_lock
from ansible.module_utils.hdk.package_name import parse_package_name
from ansible.module_utils.hdk.package_store import PackageError, check_whole
from ansible.module_utils.host_problem import Problem


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "package_dir": {"type": "path", "required": True},
            "lock_file": {"type": "path", "required": True},
            "expected": {"type": "dict", "default": {}},
            "url_base": {"type": "str", "default": ""},
            "replace": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    options = module.params
    path = options["lock_file"]
    try:
        check_options(options["expected"], options["url_base"])
        before, known = existing(path, options["replace"])
        entries = renew_lock(
            known,
            found_packages(options["package_dir"], known),
            options["expected"],
            url_base=options["url_base"],
            replace=options["replace"],
        )
        after = render_lock(entries)
        if after != before and not module.check_mode:
            replace_file(path, after)
    except ImportError:
        module.fail_json(msg=missing_required_lib("PyYAML"))
    except LockError as error:
        module.fail_json(msg="\n".join(f"{p.value} (rule: {p.rule}) -> {p.next_step}" for p in error.problems))
    except OSError as error:
        module.fail_json(msg=f"{error.filename or path}: {error.strerror}")
    for entry in entries.values():
        if not entry.url and not os.path.exists(os.path.join(options["package_dir"], entry.name)):
            module.warn(f"{entry.name} is in the lock file, but neither in the folder nor at a url")
    module.exit_json(
        changed=after != before,
        diff={"before": shown(before), "after": shown(after), "before_header": path, "after_header": path},
        packages=[dict(asdict(entry), url=public(entry.url)) for _, entry in sorted(entries.items())],
    )


def check_options(expected: Dict[str, Any], url_base: str) -> None:
    for name, checksum in expected.items():
        if not re.fullmatch(r"[0-9a-fA-F]{64}", str(checksum)):
            rule = "ascend_hdk_lock_expected gives each file name its SHA-256, 64 hexadecimal digits in quotes"
            raise lock_error(f"{name} is expected with {checksum!r}", rule, "take it from Huawei's page")
    fault = url_fault(url_base) or ("it has more than host and path" if public(url_base) != url_base else "")
    if url_base and fault:
        rule = "ascend_hdk_lock_url is http://, https:// or file:// and an address, without login or query"
        raise lock_error(f"{public(url_base)}: {fault}", rule, "mend or unset it")


def existing(path: str, replace: bool) -> Tuple[str, Dict[str, LockEntry]]:
    """Return text and entries of the lock file; one that breaks its rules counts as empty only when replaced."""
    if not os.path.lexists(path):
        return "", {}
    try:
        entries = read_lock(path)
    except LockError:
        if not replace:
            raise
        entries = {}
    with open(path, encoding="utf-8", errors="replace") as stream:
        return stream.read(), entries


def found_packages(folder: str, known: Dict[str, LockEntry]) -> Dict[str, Tuple[str, int]]:
    """Return name → sha256 and size of the folder's packages. Raises LockError with all that are not whole."""
    problems: List[Problem] = []
    found: Dict[str, Tuple[str, int]] = {}
    try:
        names = sorted(file for file in os.listdir(folder) if parse_package_name(file))
    except OSError as error:
        step = "make it and put Huawei's zip into it, or set ascend_hdk_package_dir"
        rule = "ascend_hdk_package_dir is a folder of the control side that holds the HDK packages"
        raise lock_error(f"{folder}: {error.strerror}", rule, step) from error
    for name in names:
        path = os.path.join(folder, name)
        try:
            check_whole(path)
            found[name] = (file_sha256(path), os.path.getsize(path))
        except PackageError as error:
            rule = "only whole packages are locked"
            problems.append(Problem(check=CHECK, value=str(error), rule=rule, next_step="get it again"))
    if problems:
        raise LockError(problems)
    if not found and not known:
        rule = "packages are named like Ascend-hdk-910b-npu_24.1.rc3_linux-aarch64.zip"
        raise lock_error(f"{folder} holds no HDK package", rule, "put Huawei's zip, or its .run files, into it")
    return found


def lock_error(value: str, rule: str, next_step: str) -> LockError:
    return LockError([Problem(check=CHECK, value=value, rule=rule, next_step=next_step)])


def shown(text: str) -> str:
    """Return the lock file's text as a diff may show it: no password or token of a url."""
    return re.sub(r'(?<=url: )"?([^"\s]+)"?', lambda match: public(match.group(1)), text)


if __name__ == "__main__":
    main()
