# SPDX-License-Identifier: Apache-2.0
"""Addresses of files without what gives access to them, for what is logged or shown."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

# It runs on nodes too. What Ansible ships to nodes can't be imported by name on the control side.
_PACKAGE_URL = Path(__file__).parents[1] / "module_utils" / "package_url.py"


def visible_addresses(files: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the entries with `url` as far as it may be seen: no user, no password, no query of a presigned link."""
    public = _package_url().public
    return [{**entry, "url": public(str(entry["url"]))} if entry.get("url") else dict(entry) for entry in files]


def _package_url() -> Any:
    spec = importlib.util.spec_from_file_location("package_url", _PACKAGE_URL)
    if spec is None or spec.loader is None:
        raise FileNotFoundError(_PACKAGE_URL)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filters by name."""
        return {"visible_addresses": visible_addresses}
