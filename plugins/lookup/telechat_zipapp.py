# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
name: telechat_zipapp
short_description: The node runtime as one file
description:
  - Packs the C(telechat_runtime) of the control side into a zipapp in the cache folder, unless it is there already.
options:
  _terms:
    description: Nothing.
"""

EXAMPLES = r"""
- name: Show where the node runtime was built
  ansible.builtin.debug:
    msg: "{{ lookup('telechat_zipapp').path }}"
"""

RETURN = r"""
_raw:
  description: One dictionary with V(path) and V(sha256).
  type: list
  elements: dict
"""

import typing as t

from ansible.errors import AnsibleLookupError
from ansible.plugins.lookup import LookupBase

from telechat_runtime.local_folders import cache_folder
from telechat_runtime.zipapp import build


class LookupModule(LookupBase):
    def run(self, terms: t.Any, variables: t.Any = None, **kwargs: t.Any) -> t.List[t.Dict[str, str]]:
        del terms, variables, kwargs
        try:
            path, sha256 = build(cache_folder() / "runtime")
        except (OSError, ImportError) as error:
            raise AnsibleLookupError(f"the node runtime can't be packed: {error}") from error
        return [{"path": str(path), "sha256": sha256}]
