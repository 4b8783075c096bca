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

import typing as t
from pathlib import Path

from ansible.errors import AnsibleLookupError
from ansible.module_utils.build_inputs import hash_folder
from ansible.plugins.lookup import LookupBase


class LookupModule(LookupBase):
    def run(self, terms: t.Any, variables: t.Any = None, **kwargs: t.Any) -> t.List[str]:
        del kwargs
        base = (variables or {}).get("playbook_dir", ".")
        try:
            return [hash_folder(str(Path(base, str(term)).expanduser())) for term in terms]
        except OSError as error:
            raise AnsibleLookupError(f"telechat_image_build_context: {error}") from error
