#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
module: telechat_weights
short_description: Bring model weights to a node, whole and verified
description:
  - Fetches files over http(s), going on where an interrupted download ended, or copies them from a path of the node
    (a shared file system, for example); checks size and sha256; unpacks tar and zip archives.
  - A file appears under its name only when it is whole. A record beside it makes later runs fast.
  - Nodes that share the folder take turns, so that one of them fetches and the others find.
author:
  - The TeleChat2 on Ascend authors
extends_documentation_fragment: [promises]
attributes:
  check_mode:
    support: full
  diff_mode:
    description: Returns which files are brought.
    support: full
  idempotent:
    support: full
options:
  dir:
    description: Folder for the weights; made when it is missing.
    type: path
    required: true
  files:
    description: What to bring.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: File name in O(dir).
        type: str
        required: true
      url:
        description: Address, http or https. Give this or O(files[].path).
        type: str
      path:
        description: File on the node. Give this or O(files[].url).
        type: path
      sha256:
        description: Checksum, 64 hex digits.
        type: str
        required: true
      size:
        description: Length in bytes.
        type: int
        required: true
      unpack:
        description: V(auto) goes by the name's ending.
        type: str
        choices: [auto, none, tar, zip]
        default: auto
      dest:
        description: Name below O(dir) of the file, or of the folder that an archive is unpacked into.
        type: str
  headers:
    description: Headers of the requests, an authorization for example.
    type: dict
    default: {}
  parallel:
    description: How many files are brought at once.
    type: int
    default: 2
  retries:
    description: How many attempts in a row may fail without a byte more.
    type: int
    default: 5
  timeout:
    description: Seconds that a silent server is waited for.
    type: int
    default: 60
"""

EXAMPLES = r"""
- name: Bring the weights
  telechat_weights:
    dir: /data03
    files:
      - name: TeleChat2-7B_ms.ckpt
        url: https://192.0.2.10/weights/TeleChat2-7B_ms.ckpt
        sha256: 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
        size: 15460000000
"""

RETURN = r"""
brought:
  description: Names of the files that were brought, or would be in check mode.
  returned: always
  type: list
  elements: str
"""

import concurrent.futures
import fcntl
import os
import time
import typing as t

from ansible.module_utils import weights_store
from ansible.module_utils.ascend.host import free_bytes
from ansible.module_utils.ascend.package_url import public
from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.download import FetchError, Patience
from ansible.module_utils.unpack import UnpackError
from ansible.module_utils.weights_bring import BringError, bring

EXPECTED = (FetchError, UnpackError, BringError, OSError)


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "dir": {"type": "path", "required": True},
            "files": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": {
                    "name": {"type": "str", "required": True},
                    "url": {"type": "str"},
                    "path": {"type": "path"},
                    "sha256": {"type": "str", "required": True},
                    "size": {"type": "int", "required": True},
                    "unpack": {"type": "str", "choices": ["auto", "none", "tar", "zip"], "default": "auto"},
                    "dest": {"type": "str"},
                },
            },
            "headers": {"type": "dict", "default": {}, "no_log": True},
            "parallel": {"type": "int", "default": 2},
            "retries": {"type": "int", "default": 5},
            "timeout": {"type": "int", "default": 60},
        },
        supports_check_mode=True,
        # An address may be signed; the messages name it without the signature.
        no_log=True,
    )
    entries = module.params["files"]
    module.params["files"] = [{**entry, "url": entry["url"] and public(entry["url"])} for entry in entries]
    # sudo and hardened servers give 077, which would hide what every user of the node reads.
    os.umask(0o022)
    folder = module.params["dir"]
    try:
        files = weights_store.parse_list(entries)
    except weights_store.WeightsListError as error:
        module.fail_json(msg=str(error))
    todo = [item for item in files if weights_store.lacking(folder, item)]
    make = not os.path.isdir(folder)
    if not module.check_mode and (todo or make):
        os.makedirs(os.path.join(folder, weights_store.RECORDS), mode=0o755, exist_ok=True)
        with open(os.path.join(folder, weights_store.RECORDS, "lock"), "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            todo = [item for item in files if weights_store.lacking(folder, item)]
            bring_all(module, folder, todo)
    names = [item.name for item in todo]
    module.exit_json(changed=bool(todo) or make, brought=names, diff=diff(folder, names))


def bring_all(module: AnsibleModule, folder: str, todo: t.List[weights_store.WeightsFile]) -> None:
    """Bring all files, a few at a time; all of them end before the failures are told, each in its own words."""
    need, free = weights_store.needed_bytes(folder, todo), free_bytes(folder)
    if need > free:
        need_text, free_text = weights_store.gigabytes(need), weights_store.gigabytes(free)
        module.fail_json(msg=f"the weights need {need_text} in {folder}, {free_text} are free: make room")
    patience = Patience(timeout=float(module.params["timeout"]), retries=module.params["retries"], sleep=time.sleep)
    with concurrent.futures.ThreadPoolExecutor(max_workers=max(module.params["parallel"], 1)) as pool:
        headers = {str(name): str(value) for name, value in module.params["headers"].items()}
        futures = {pool.submit(bring, folder, item, headers, patience): item for item in todo}
    errors = {item.name: future.exception() for future, item in futures.items()}
    unexpected = [error for error in errors.values() if error and not isinstance(error, EXPECTED)]
    if unexpected:
        raise unexpected[0]
    failures = [f"{name}: {error}" for name, error in errors.items() if error]
    if failures:
        module.fail_json(msg="weights: " + "; ".join(failures), failures=failures)


def diff(folder: str, names: t.List[str]) -> t.Dict[str, str]:
    return {
        "before_header": folder,
        "after_header": folder,
        "before": "",
        "after": "".join(f"{name}\n" for name in names),
    }


if __name__ == "__main__":
    main()
