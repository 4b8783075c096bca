# SPDX-License-Identifier: Apache-2.0
"""Schema numbers: which readers understand a JSON document that was written to a file (docs/schemas/README.md).

A writer puts the number into the document as `schema`; telechat-run 0.1 wrote none, which counts as 0.
"""

from __future__ import annotations

from typing import Any, Mapping

_FIRST = 0
UPGRADE_RUNTIME = "run playbooks/runtime.yml: it brings the newer runtime"
"""Next step where a node's runtime is the older one."""
UPGRADE_PLAYBOOKS = "use that release on the control machine too"
"""Next step where the playbooks are the older ones."""


class NewerSchemaError(Exception):
    """A document was written by a newer release, and this one may misread it."""


def check_schema(document: Mapping[str, Any], known: int, path: str) -> None:
    """Raise NewerSchemaError for a document above `known`, the highest number that is read here."""
    found = document.get("schema", _FIRST)
    if isinstance(found, bool) or not isinstance(found, int):
        raise NewerSchemaError(f"{path} has a schema that is not a whole number; schemas up to {known} are known here")
    if found > known:
        raise NewerSchemaError(
            f"{path} has schema {found}, and schemas up to {known} are known here: a newer release wrote it"
        )
