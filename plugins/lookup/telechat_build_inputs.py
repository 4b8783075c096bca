# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
name: telechat_build_inputs
short_description: What the inputs of an image build hash to
description:
  - Hashes names, modes and contents of all files below a folder of the control side.
options:
  _terms:
    description: Path of the folder, relative to the playbook's folder when it is not absolute.
    required: true
"""

EXAMPLES = r"""
- name: Show the hash
  ansible.builtin.debug:
    msg: "{{ lookup('telechat_build_inputs', '/srv/telechat-ms') }}"
"""

RETURN = r"""
_raw:
  description: One sha256.
  type: list
  elements: str
"""

import hashlib
import os
import typing as t
from pathlib import Path

from ansible.errors import AnsibleLookupError
from ansible.plugins.lookup import LookupBase


class LookupModule(LookupBase):
    def run(self, terms: t.Any, variables: t.Any = None, **kwargs: t.Any) -> t.List[str]:
        del kwargs
        base = (variables or {}).get("playbook_dir", ".")
        if not all(terms):
            raise AnsibleLookupError("telechat_image_build_context is empty: it names the folder with the Dockerfile")
        try:
            return [hash_folder(Path(base, str(term)).expanduser()) for term in terms]
        except OSError as error:
            raise AnsibleLookupError(f"telechat_image_build_context: {error}") from error


def hash_folder(folder: Path) -> str:
    """Return one sha256 over names, links, executable bits and contents of a folder's files. Raises OSError."""
    if not folder.is_dir():
        raise NotADirectoryError(f"{folder} is no folder")
    digest = hashlib.sha256()
    for path in sorted(Path(base, name) for base, folders, names in os.walk(folder) for name in folders + names):
        if path.is_dir() and not path.is_symlink():
            continue
        if path.is_symlink():
            content, executable = str(path.readlink()), 0
        else:
            content, executable = _sha256(path), path.stat().st_mode & 0o100
        digest.update(f"{path.relative_to(folder)}\0{executable}\0{content}\0".encode())
    return digest.hexdigest()


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        for chunk in iter(lambda: stream.read(1024 * 1024), b""):
            digest.update(chunk)
    return digest.hexdigest()
