# SPDX-License-Identifier: Apache-2.0
"""Answers `ansible-inventory --list` for the plain inventories of tests, and hands any other to the real one.

The real one takes half a second of a core for each command that a test runs. A copy named `ansible-inventory` beside
telechat-run's interpreter takes its place (tests/support/control_side.py); @REAL@ is put in there.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any, Dict, List, Optional

REAL = "@REAL@"
_SET_BY_TELECHAT_RUN = {"ANSIBLE_NOCOLOR", "ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED"}
_SPECIAL_IN_NAMES = set("[]*?!&:,~{} ")


def main() -> None:
    listing = _listing(sys.argv[1:])
    if listing is None:
        os.execv(REAL, [REAL, *sys.argv[1:]])  # noqa: S606 - it takes this process's place
    print(json.dumps(listing, indent=4))  # noqa: T201 - as ansible-inventory does


def _listing(argv: List[str]) -> Optional[Dict[str, Any]]:
    """Return what the real one lists, None where only the real one knows."""
    if argv[:2] != ["--list", "--inventory"] or len(argv) not in (3, 5) or argv[3:4] not in ([], ["--limit"]):
        return None
    hosts = _hosts(Path(argv[2]))
    wanted = list(hosts) if len(argv) == 3 else argv[4].split(",")
    if not hosts or not set(wanted) <= set(hosts):
        return None
    shown = {name: hosts[name] for name in hosts if name in wanted}
    return {
        "_meta": {"hostvars": shown, "profile": "inventory_legacy"},
        "all": {"children": ["ungrouped", "ascend"]},
        "ascend": {"hosts": list(shown)},
    }


def _hosts(path: Path) -> Dict[str, Dict[str, Any]]:
    """Return the hosts of a file of one group of plain values with their variables; none if it is anything else."""
    variables_apart = any((path.parent / f"{kind}_vars").exists() for kind in ("group", "host"))
    settings = {name for name in os.environ if name.startswith("ANSIBLE_")} - _SET_BY_TELECHAT_RUN
    if variables_apart or settings or os.access(path, os.X_OK):
        return {}
    try:
        text = path.read_text(encoding="utf-8")
        document = json.loads(text)
    except (OSError, ValueError):
        return {}
    if not isinstance(document, dict) or set(document) != {"ascend"} or "{{" in text or "{%" in text:
        return {}
    group = document["ascend"]
    if not set(group) <= {"hosts", "vars"} or any(set(name) & _SPECIAL_IN_NAMES for name in group["hosts"]):
        return {}
    return {name: {**group.get("vars", {}), **(own or {})} for name, own in group["hosts"].items()}


if __name__ == "__main__":
    main()
