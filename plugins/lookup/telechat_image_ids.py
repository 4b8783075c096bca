# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
name: telechat_image_ids
short_description: Ids of the image in an archive on the control side
description:
  - Reads which ids the image of a C(docker save) archive may get on a node. A compressed archive is read whole once;
    the answer is kept in the cache folder for as long as the file stays the same.
options:
  _terms:
    description: Path of the archive, relative to the playbook's folder when it is not absolute.
    required: true
"""

EXAMPLES = r"""
- name: Show the ids
  ansible.builtin.debug:
    msg: "{{ lookup('telechat_image_ids', '/srv/packages/telechat-ms.tar') }}"
"""

RETURN = r"""
_raw:
  description: Of each archive the C(ids), and the C(problem) that keeps them from being known, else empty.
  type: list
  elements: dict
"""

import hashlib
import json
import typing as t
from pathlib import Path

from ansible.plugins.lookup import LookupBase

from telechat_runtime.ascend.atomic_file import replace_file
from telechat_runtime.ascend.image_archive import ArchiveError, image_ids
from telechat_runtime.local_folders import cache_folder


class LookupModule(LookupBase):
    def run(self, terms: t.Any, variables: t.Any = None, **kwargs: t.Any) -> t.List[t.Dict[str, t.Any]]:
        del kwargs
        base = (variables or {}).get("playbook_dir", ".")
        return [self._look(Path(base, str(term)).expanduser() if term else None) for term in terms]

    def _look(self, path: t.Optional[Path]) -> t.Dict[str, t.Any]:
        """Return ids and problem: what is wrong with the archive is for preflight to say, of all hosts at once."""
        if path is None:
            return {"ids": [], "problem": "it is empty"}
        try:
            return {"ids": _ids(path), "problem": ""}
        except OSError as error:
            return {"ids": [], "problem": f"{error.strerror}: {path} on the control side"}
        except ArchiveError as error:
            return {"ids": [], "problem": str(error)}


def _ids(path: Path) -> t.List[str]:
    status = path.stat()
    key = f"{path}\0{status.st_size}\0{status.st_mtime_ns}\0{status.st_ino}"
    kept = cache_folder() / "image-ids" / (hashlib.sha256(key.encode()).hexdigest() + ".json")
    if kept.exists():
        known: t.List[str] = json.loads(kept.read_text(encoding="utf-8"))
        return known
    ids = image_ids(str(path))
    _keep(kept, json.dumps(ids))
    return ids


def _keep(path: Path, text: str) -> None:
    path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    replace_file(str(path), text)
